import { ErrorCode, Hop } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { checkUids, leftOut, permitted } from "./extras.ts";
import { rightsTo } from "./rights-fixture.ts";

const WAY = ["relay", "cluster", "session", "client"].map((name) => `fairlead.dev/${name}`);

describe("extras", () => {
  it("go on where the account may impersonate their keys, and are left out otherwise", () => {
    const extras = { "example.com/team": ["blue"], "example.com/other": ["x"] };
    expect(permitted(extras, rightsTo("userextras/example.com/team"))).toEqual({ "example.com/team": ["blue"] });
    expect(permitted(extras, rightsTo())).toEqual({});
    expect(permitted(extras, rightsTo("*"))).toEqual(extras);
  });

  it.each(["example.com", "userextras", "userextras/example.com/tea", "userextras/example.com/team/x"])(
    "are not permitted by a right to %s",
    (resource) => {
      expect(permitted({ "example.com/team": ["blue"] }, rightsTo(resource))).toEqual({});
    },
  );

  it("that are left out are told", () => {
    const mapped = { uids: false, extraKeys: ["example.com/team"] };
    expect(leftOut(mapped, rightsTo())).toEqual([...WAY, "example.com/team"]);
    expect(leftOut(mapped, rightsTo("userextras/fairlead.dev/relay", "userextras/example.com/team"))).toEqual(
      WAY.slice(1),
    );
    expect(leftOut(mapped, rightsTo("*"))).toEqual([]);
  });
});

describe("uids", () => {
  it("that tokens give and the account may not impersonate stop the start: without them one is taken for another", () => {
    expect(() => checkUids({ uids: true, extraKeys: [] }, rightsTo("userextras/a.b/c"))).toThrow(
      expect.objectContaining({ code: ErrorCode.ACCESS_DENIED, hop: Hop.IDENTITY_PROXY }),
    );
  });

  it("stop nothing where tokens give none, or the account may", () => {
    expect(() => checkUids({ uids: false, extraKeys: [] }, rightsTo())).not.toThrow();
    expect(() => checkUids({ uids: true, extraKeys: [] }, rightsTo("uids"))).not.toThrow();
  });
});
