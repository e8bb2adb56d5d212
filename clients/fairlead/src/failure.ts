import { sentence } from "@fairlead/http-bridge";
import { errorCodeName, FairleadError, Hop, hopName } from "@fairlead/protocol";
import { printJson, tellError } from "./output.ts";

/** Says why a command failed: for people always, on standard error, and for programs too if they asked for JSON. */
export function tellFailure(error: unknown, words: readonly string[]): void {
  const fault = FairleadError.from(error, Hop.CLIENT_PROXY);
  const wantsJson = words.some(
    (word, i) => word === "--output=json" || (word === "json" && words[i - 1] === "--output"),
  );
  if (wantsJson)
    printJson({ error: { code: errorCodeName(fault.code), hop: hopName(fault.hop), message: fault.message } });
  tellError(sentence(fault));
}
