import { createHmac } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { type Scope, ScopeSchema } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { localCredential, localGrant } from "./local-credential.ts";

const FULL = "local-token-of-43-characters-0123456789abcd";
const scope = (readOnly: boolean, ...names: string[]): Scope =>
  create(ScopeSchema, { readOnly, ...(names.length > 0 && { groups: { names } }) });
const READ_ONLY = localCredential(FULL, scope(true));
const said = (of: Scope) => Buffer.from(toBinary(ScopeSchema, of)).toString("base64url");

describe("the credential of a context", () => {
  it("without scope is the full one, and opens all", () => {
    expect(localCredential(FULL, undefined)).toBe(FULL);
    expect(localGrant(FULL, FULL)).toEqual({ scope: undefined });
  });

  it.each([
    scope(true),
    scope(false, "dev"),
    scope(true, "dev", "Größe, a b"),
    create(ScopeSchema, { groups: { names: [] } }),
    scope(false), // says nothing, and is not the full one all the same
  ])("opens its own scope, and no more", (given) => {
    const credential = localCredential(FULL, given);
    expect(localGrant(credential, FULL)).toEqual({ scope: given });
    expect(credential).not.toContain(FULL);
    expect(credential).toMatch(/^[\x21-\x7e]+$/); // fits a header
  });

  it("is the same each time, so that an old kubeconfig stays good", () => {
    expect(localCredential(FULL, scope(true))).toBe(READ_ONLY);
  });
});

describe("a credential cannot be widened", () => {
  const [prefix = "", , mac = ""] = READ_ONLY.split(".");
  const ownMac = (key: string, of: string) => createHmac("sha256", key).update(of).digest("base64url");

  it.each([
    ["its scope taken out", [prefix, "", mac].join(".")],
    ["another scope put in", [prefix, said(scope(false)), mac].join(".")],
    ["another scope added", [prefix, READ_ONLY.split(".")[1] + said(scope(false, "dev")), mac].join(".")],
    [
      "the MAC of another scope",
      [prefix, said(scope(true)), localCredential(FULL, scope(false)).split(".")[2]].join("."),
    ],
    ["no MAC", [prefix, said(scope(false)), ""].join(".")],
    ["no MAC and no dot", [prefix, said(scope(false))].join(".")],
    ["a MAC that is cut", READ_ONLY.slice(0, -1)],
    ["something behind it", `${READ_ONLY}.`],
    [
      "a MAC by itself as the key",
      [prefix, said(scope(false)), ownMac(READ_ONLY, `fairlead local credential v1\0${said(scope(false))}`)].join("."),
    ],
    [
      "a MAC by an empty key",
      [prefix, said(scope(false)), ownMac("", `fairlead local credential v1\0${said(scope(false))}`)].join("."),
    ],
    ["a MAC without the purpose", [prefix, said(scope(false)), ownMac(FULL, said(scope(false)))].join(".")],
    ["another prefix", READ_ONLY.replace("fls1", "fls2")],
    ["its MAC alone", mac],
    ["nothing", ""],
    ["dots", "fls1.."],
  ])("with %s", (_how, given) => {
    expect(localGrant(given, FULL)).toBeUndefined();
  });

  it("by changing any one character", () => {
    for (let at = 0; at < READ_ONLY.length; at++) {
      for (const other of ["A", "b", "."]) {
        const changed = READ_ONLY.slice(0, at) + other + READ_ONLY.slice(at + 1);
        if (changed === READ_ONLY) continue;
        expect([changed, localGrant(changed, FULL)]).toEqual([changed, undefined]);
      }
    }
  });

  it("by taking it to another cluster's proxy", () => {
    expect(localGrant(READ_ONLY, `${FULL.slice(0, -1)}x`)).toBeUndefined();
    expect(localGrant(FULL, `${FULL.slice(0, -1)}x`)).toBeUndefined();
  });
});
