import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { whenParentIsGone } from "@fairlead/service";
import type { TokenOwner } from "./access/authentication.ts";
import { isFields, listAt, textAt } from "./kubernetes-object.ts";
import { startDemoCluster } from "./server.ts";

/**
 * Checks the tokens file.
 * @throws Error naming what is wrong, never the token itself
 */
function parseTokens(text: string): Record<string, TokenOwner> {
  const parsed: unknown = JSON.parse(text);
  if (!isFields(parsed)) throw new Error("the tokens file is not a JSON object");
  const owners = Object.entries(parsed).map(([token, owner]): [string, TokenOwner] => {
    const user = textAt(owner, "user");
    if (token === "" || user === "") throw new Error("the tokens file has an entry without token or user");
    const groups = listAt(owner, "groups").map(String);
    return [token, { user, groups, mayImpersonate: isFields(owner) && owner.mayImpersonate === true }];
  });
  return Object.fromEntries(owners);
}

const { values } = parseArgs({
  options: {
    cert: { type: "string" },
    key: { type: "string" },
    tokens: { type: "string" },
    port: { type: "string", default: "0" },
  },
});
if (!values.cert || !values.key || !values.tokens) {
  console.error("usage: main.js --cert FILE --key FILE --tokens FILE [--port 0]");
  process.exit(2);
}
const [cert, key, tokens] = await Promise.all([
  readFile(values.cert),
  readFile(values.key),
  readFile(values.tokens, "utf8"),
]);
const cluster = await startDemoCluster({ cert, key, tokens: parseTokens(tokens), port: Number(values.port) });
const stop = (): void => void cluster.close().then(() => process.exit(0));
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, stop);
whenParentIsGone(stop);
console.log(JSON.stringify({ ready: true, url: cluster.url }));
