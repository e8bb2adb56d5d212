import { ErrorCode, Hop } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { scopedName, scopeOf } from "./scope.ts";

describe("the options of a context", () => {
  it.each([
    [{}, undefined, "fairlead-prod"],
    [{ readOnly: false }, undefined, "fairlead-prod"],
    [{ readOnly: true }, { readOnly: true }, "fairlead-prod:read-only"],
    [{ groups: "dev" }, { readOnly: false, groups: { names: ["dev"] } }, "fairlead-prod:groups=dev"],
    [{ groups: "dev, ops" }, { readOnly: false, groups: { names: ["dev", "ops"] } }, "fairlead-prod:groups=dev,ops"],
    [{ groups: "" }, { readOnly: false, groups: { names: [] } }, "fairlead-prod:groups="],
    [
      { readOnly: true, groups: "dev" },
      { readOnly: true, groups: { names: ["dev"] } },
      "fairlead-prod:read-only:groups=dev",
    ],
  ])("%j make its scope and its name", (options, scope, name) => {
    const made = scopeOf(options);
    if (scope === undefined) expect(made).toBeUndefined();
    else expect(made).toMatchObject(scope);
    expect(scopedName("fairlead-prod", made)).toBe(name);
  });

  it("limit no group only where they say so: read-only alone leaves all", () => {
    expect(scopeOf({ readOnly: true })?.groups).toBeUndefined();
  });

  it.each([",", "dev,", ",dev", "dev,,ops", " ", "dev, "])("with the groups %j are refused", (groups) => {
    expect(() => scopeOf({ groups })).toThrow(
      expect.objectContaining({ code: ErrorCode.MALFORMED_REQUEST, hop: Hop.CLIENT_PROXY }),
    );
  });
});
