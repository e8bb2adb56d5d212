import type { IncomingMessage } from "node:http";
import { create } from "@bufbuild/protobuf";
import { ErrorCode, Hop, ScopeSchema } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { checkLocalAccess, withoutBearerProtocol } from "./local-access.ts";
import { localCredential } from "./local-credential.ts";

const PORT = 20_443;
const TOKEN = "local-token-of-43-characters-0123456789abcd";
const BEARER = "base64url.bearer.authorization.k8s.io.";
const encoded = (token: string) => BEARER + Buffer.from(token).toString("base64url");

const GOOD = { host: `127.0.0.1:${PORT}`, authorization: `Bearer ${TOKEN}` };

/** A request with these headers, names in lower case; a list is one line each. */
function request(headers: Record<string, string | string[] | undefined>): IncomingMessage {
  const lines = Object.entries(headers).filter(([, value]) => value !== undefined);
  const joined = lines.map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : value]);
  const distinct = lines.map(([name, value]) => [name, Array.isArray(value) ? value : [value]]);
  return { headers: Object.fromEntries(joined), headersDistinct: Object.fromEntries(distinct) } as IncomingMessage;
}

const check = (changes: Record<string, string | string[] | undefined>) => () =>
  checkLocalAccess(request({ ...GOOD, ...changes }), PORT, TOKEN);

const fault = (code: ErrorCode) => expect.objectContaining({ code, hop: Hop.CLIENT_PROXY });

describe("the local proxy is open", () => {
  it.each([`127.0.0.1:${PORT}`, `localhost:${PORT}`])("to its kubeconfig's user at %s", (host) => {
    expect(check({ host })).not.toThrow();
  });

  it.each([`bearer ${TOKEN}`, `BEARER  ${TOKEN}`])("to %j", (authorization) => {
    expect(check({ authorization })).not.toThrow();
  });

  it.each([
    ["alone", encoded(TOKEN)],
    ["in front", `${encoded(TOKEN)}, v5.channel.k8s.io`],
    ["behind", `v5.channel.k8s.io,${encoded(TOKEN)}`],
    ["in a line of its own", ["v5.channel.k8s.io", encoded(TOKEN)]],
  ])("to the bearer subprotocol %s", (_where, protocols) => {
    expect(check({ authorization: undefined, "sec-websocket-protocol": protocols })).not.toThrow();
  });
});

describe("a context with a scope", () => {
  const scope = create(ScopeSchema, { readOnly: true });
  const OWN = localCredential(TOKEN, scope);
  const granted = (changes: Parameters<typeof check>[0]) =>
    checkLocalAccess(request({ ...GOOD, ...changes }), PORT, TOKEN).scope;

  it("opens the proxy for that scope, also by the bearer subprotocol", () => {
    expect(granted({ authorization: `Bearer ${OWN}` })).toEqual(scope);
    expect(granted({ authorization: undefined, "sec-websocket-protocol": encoded(OWN) })).toEqual(scope);
  });

  it("is not needed: the full credential has none", () => {
    expect(granted({})).toBeUndefined();
  });

  it("does not open it with a credential that was changed", () => {
    for (const authorization of [`Bearer ${OWN}x`, `Bearer ${OWN.slice(0, -1)}`, `Bearer ${OWN.toUpperCase()}`]) {
      expect(check({ authorization })).toThrow(fault(ErrorCode.TOKEN_REFUSED));
    }
  });
});

describe("the local proxy refuses with 403", () => {
  it.each(["https://evil.example", "null", "", `https://127.0.0.1:${PORT}`, `https://localhost:${PORT}`])(
    "a web page, whose Origin is %j, though it had the token",
    (origin) => {
      expect(check({ origin })).toThrow(fault(ErrorCode.ACCESS_DENIED));
    },
  );

  it.each([
    ["another name, after DNS rebinding", `evil.example:${PORT}`],
    ["another port", `127.0.0.1:${PORT + 1}`],
    ["no port", "127.0.0.1"],
    ["another address of loopback", `127.0.0.2:${PORT}`],
    ["IPv6", `[::1]:${PORT}`],
    ["a name that begins so", `localhost.evil.example:${PORT}`],
    ["a name that ends so", `evil-localhost:${PORT}`],
    ["user information", `user@localhost:${PORT}`],
    ["another case", `LOCALHOST:${PORT}`],
    ["a dot behind", `localhost.:${PORT}`],
    ["none", undefined],
    ["an empty one", ""],
  ])("a Host that is %s", (_what, host) => {
    expect(check({ host })).toThrow(fault(ErrorCode.ACCESS_DENIED));
  });
});

describe("the local proxy refuses with 401", () => {
  it.each<[what: string, authorization: string | undefined]>([
    ["none", undefined],
    ["an empty one", ""],
    ["another token", "Bearer wrong"],
    ["another token of the same length", `Bearer ${"x".repeat(TOKEN.length)}`],
    ["the token less a character", `Bearer ${TOKEN.slice(0, -1)}`],
    ["the token and a character more", `Bearer ${TOKEN}x`],
    ["the token in another case", `Bearer ${TOKEN.toUpperCase()}`],
    ["as many characters, but more bytes", `Bearer ${"é".repeat(TOKEN.length)}`],
    ["as many bytes, but fewer characters", `Bearer ${"é".repeat(21)}x`],
    ["Basic", `Basic ${Buffer.from(`user:${TOKEN}`).toString("base64")}`],
    ["the token without scheme", TOKEN],
    ["the token and something more", `Bearer ${TOKEN} x`],
  ])("the credential %s", (_what, authorization) => {
    expect(check({ authorization })).toThrow(fault(ErrorCode.TOKEN_REFUSED));
    expect(check({ authorization })).toThrow(/use the kubeconfig that `fairlead proxy` wrote/);
    expect(check({ authorization })).not.toThrow(new RegExp(TOKEN));
  });

  it.each([
    ["another token", encoded("wrong")],
    ["as many characters, but more bytes", encoded("é".repeat(TOKEN.length))],
    ["nothing", BEARER],
    ["no base64", `${BEARER}*`],
    ["the token as it is", BEARER + TOKEN],
    ["a prefix in another case", encoded(TOKEN).replace("base64url", "Base64Url")],
  ])("the bearer subprotocol with %s", (_what, protocols) => {
    expect(check({ authorization: undefined, "sec-websocket-protocol": protocols })).toThrow(
      fault(ErrorCode.TOKEN_REFUSED),
    );
  });

  it("a wrong Authorization, though a subprotocol has the token", () => {
    expect(check({ authorization: "Bearer wrong", "sec-websocket-protocol": encoded(TOKEN) })).toThrow(
      fault(ErrorCode.TOKEN_REFUSED),
    );
  });
});

describe("the bearer subprotocol", () => {
  it.each<[value: string, left: string | undefined]>([
    [encoded(TOKEN), undefined],
    [`${encoded(TOKEN)}, v5.channel.k8s.io`, "v5.channel.k8s.io"],
    [`v5.channel.k8s.io,${encoded(TOKEN)},v4.channel.k8s.io`, "v5.channel.k8s.io, v4.channel.k8s.io"],
    [`${encoded("a")}, ${encoded("b")}`, undefined],
    ["v5.channel.k8s.io", "v5.channel.k8s.io"],
  ])("is taken out of %j", (value, left) => {
    expect(withoutBearerProtocol(value)).toBe(left);
  });

  it("that is not there leaves nothing", () => {
    expect(withoutBearerProtocol("")).toBeFalsy();
  });
});
