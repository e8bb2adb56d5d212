import { readFile } from "node:fs/promises";
import { mappedDetails, parseAuthenticationConfiguration } from "@fairlead/authentication";
import type { ImpersonationNeeds } from "@fairlead/authorization";
import { misuse } from "../misuse.ts";

/** An AuthenticationConfiguration, and the rights that its mappings need in the cluster. */
export interface AuthenticationFile {
  /** YAML. */
  text: string;
  needs: ImpersonationNeeds;
}

/** Reads what `--authentication` names. @throws FairleadError MALFORMED_REQUEST if it cannot be used */
export async function readAuthentication(file: string): Promise<AuthenticationFile> {
  try {
    const text = await readFile(file, "utf8");
    return { text, needs: mappedDetails(parseAuthenticationConfiguration(text)) };
  } catch (cause) {
    const sentence = `--authentication: ${file}: ${cause instanceof Error ? cause.message : cause}`;
    throw misuse(sentence, cause);
  }
}
