import { ErrorCode, type GroupLimit, Hop, type RequestHead, type Scope } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { checkScope, narrowed } from "./scope.ts";

const limit = (...names: string[]): GroupLimit => ({ $typeName: "fairlead.tunnel.v1alpha1.GroupLimit", names });
const scope = (changes: Partial<Scope>): Scope => ({
  $typeName: "fairlead.tunnel.v1alpha1.Scope",
  readOnly: false,
  ...changes,
});
const jane = { user: "jane", groups: ["dev", "ops", "admins"], uid: "42" };

describe("a scope", () => {
  it.each<[what: string, scope: Scope | undefined, groups: string[]]>([
    ["that is not there takes nothing away", undefined, ["dev", "ops", "admins"]],
    ["without a limit on groups takes none away", scope({ readOnly: true }), ["dev", "ops", "admins"]],
    ["leaves the groups that it names", scope({ groups: limit("ops", "dev") }), ["dev", "ops"]],
    ["gives no group that the caller is not in", scope({ groups: limit("dev", "root", "system:masters") }), ["dev"]],
    ["of other groups leaves none", scope({ groups: limit("root") }), []],
    ["of no group leaves none", scope({ groups: limit() }), []],
    ["of an empty name leaves none", scope({ groups: limit("") }), []],
    ["knows no wildcard", scope({ groups: limit("*", "de*") }), []],
    ["knows no other case", scope({ groups: limit("Dev") }), []],
    ["knows no blanks", scope({ groups: limit(" dev", "dev ") }), []],
    ["knows no lists in a name", scope({ groups: limit("dev,ops") }), []],
    ["gives a group once, however often it names it", scope({ groups: limit("dev", "dev") }), ["dev"]],
  ])("%s", (_what, given, groups) => {
    expect(narrowed(jane, given)).toEqual({ user: "jane", uid: "42", groups });
  });

  it("changes the request's caller and not the token's, which other requests share", () => {
    narrowed(jane, scope({ groups: limit() }));
    expect(jane.groups).toEqual(["dev", "ops", "admins"]);
  });

  it("costs a request without it nothing", () => {
    expect(narrowed(jane, undefined)).toBe(jane);
  });
});

const head = (method: string, target: string, given?: Scope, upgrade = "") =>
  ({ method, target, upgrade, ...(given && { scope: given }) }) as RequestHead;

describe("a read-only scope", () => {
  const EXEC = "/api/v1/namespaces/ns/pods/p/exec";

  it.each([
    ["GET", EXEC, "websocket", '"create pods/exec"'],
    ["POST", EXEC, "SPDY/3.1", '"create pods/exec"'],
    ["DELETE", "/api/v1/namespaces/ns/pods/p", "", '"delete pods"'],
    ["GET", "/api/v1/pods//p", "", '"GET of an unclear path"'],
  ])("refuses %s %s and says what it was", (method, target, upgrade, words) => {
    const judge = () => checkScope(head(method, target, scope({ readOnly: true }), upgrade), Hop.IDENTITY_PROXY);
    const says = { code: ErrorCode.ACCESS_DENIED, hop: Hop.IDENTITY_PROXY, message: expect.stringContaining(words) };
    expect(judge).toThrow(expect.objectContaining(says));
    expect(judge).toThrow(/this context is read-only/);
  });

  it("lets reading through", () => {
    expect(() => checkScope(head("GET", "/api/v1/pods", scope({ readOnly: true })), Hop.RELAY)).not.toThrow();
  });

  it("is not there where only groups are limited, or nothing is", () => {
    expect(() => checkScope(head("POST", EXEC, scope({ groups: limit() })), Hop.RELAY)).not.toThrow();
    expect(() => checkScope(head("POST", EXEC), Hop.RELAY)).not.toThrow();
  });
});
