import { readFile } from "node:fs/promises";
import { ProofKey } from "@fairlead/authentication";
import { misuse } from "../misuse.ts";

/** Reads the key that the caller's token is bound to. @throws FairleadError MALFORMED_REQUEST with what to do */
export async function readProofKey(file: string): Promise<ProofKey> {
  try {
    return await ProofKey.fromPem(await readFile(file, "utf8"));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : cause;
    const remedy = "it is made with: openssl ecparam -name prime256v1 -genkey -noout";
    const sentence = `the key ${file} cannot be used (${reason}); ${remedy}`;
    throw misuse(sentence, cause);
  }
}
