import { ErrorCode, Hop } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { requestedIdentity } from "./requested-identity.ts";
import { headerLines, requestHead } from "./requester-fixture.ts";

const asked = (...lines: [string, string][]) => requestedIdentity(requestHead({ headers: headerLines(...lines) }));

describe("whom a request asks to be", () => {
  it("is a user", () => {
    expect(asked(["Accept", "*/*"], ["Impersonate-User", "joe"])).toEqual({ user: "joe", groups: [], uid: undefined });
  });

  it("is a user with groups, a uid and extras, in any letter case, in their order", () => {
    expect(
      asked(
        ["impersonate-USER", "joe"],
        ["Impersonate-Group", "dev"],
        ["IMPERSONATE-GROUP", "a, b"],
        ["Impersonate-Uid", "42"],
        ["Impersonate-Extra-Example.com%2FTeam", "blue"],
        ["impersonate-extra-example.com%2fteam", "green"],
        ["Impersonate-Extra-scopes", "view"],
      ),
    ).toEqual({
      user: "joe",
      groups: ["dev", "a, b"],
      uid: "42",
      extra: { "example.com/team": ["blue", "green"], scopes: ["view"] },
    });
  });

  it("is named by bytes in UTF-8", () => {
    expect(asked(["Impersonate-User", "jürgen"], ["Impersonate-Group", "开发者"])).toMatchObject({
      user: "jürgen",
      groups: ["开发者"],
    });
  });
});

describe("a request for impersonation is refused as a whole, and nothing of it left out, with", () => {
  const user: [string, string] = ["Impersonate-User", "joe"];
  it.each<[what: string, lines: [string, string][]]>([
    ["no user beside a group", [["Impersonate-Group", "dev"]]],
    ["no user beside a uid", [["Impersonate-Uid", "42"]]],
    ["two users", [user, ["impersonate-user", "root"]]],
    ["the same user twice", [user, user]],
    ["two uids", [user, ["Impersonate-Uid", "1"], ["Impersonate-Uid", "2"]]],
    ["an empty user", [["Impersonate-User", ""]]],
    ["an empty group", [user, ["Impersonate-Group", ""]]],
    ["a blank before a group", [user, ["Impersonate-Group", " dev"]]],
    ["a blank behind a user", [["Impersonate-User", "joe "]]],
    ["a no-break space behind a user", [["Impersonate-User", "joe\u00a0"]]],
    ["a control character", [["Impersonate-User", "jo\u0000e"]]],
    ["a line's end in UTF-8", [["Impersonate-User", "joe\u2028"]]],
    ["what is invisible", [["Impersonate-User", "jo\u200be"]]],
    ["a header not yet invented", [user, ["Impersonate-Tenant", "a"]]],
    ["a header that begins as groups", [user, ["Impersonate-Groups", "a"]]],
    ["nothing but the prefix", [user, ["Impersonate-", "a"]]],
    ["an extra without a key", [user, ["Impersonate-Extra-", "a"]]],
    ["an extra with a key that is no encoding", [user, ["Impersonate-Extra-a%zz", "a"]]],
    ["an extra with a blank in its key", [user, ["Impersonate-Extra-a%20b", "a"]]],
    ["an extra with a line's end in its key", [user, ["Impersonate-Extra-a%0d%0ab", "a"]]],
    ["an empty extra", [user, ["Impersonate-Extra-scopes", ""]]],
    ["an extra that only the identity proxy sets", [user, ["Impersonate-Extra-fairlead.dev%2foriginal-user", "a"]]],
    ["such an extra in another letter case", [user, ["Impersonate-Extra-Fairlead.Dev%2Frelay", "a"]]],
    ["such an extra of a part of the domain", [user, ["Impersonate-Extra-x.fairlead.dev%2fa", "a"]]],
    ["65 names", [user, ...Array.from({ length: 64 }, (_, i): [string, string] => ["Impersonate-Group", `g${i}`])]],
  ])("%s", (_what, lines) => {
    expect(() => asked(...lines)).toThrow(
      expect.objectContaining({ code: ErrorCode.MALFORMED_REQUEST, hop: Hop.IDENTITY_PROXY }),
    );
  });

  it("bytes that are no UTF-8", () => {
    const head = requestHead({ headers: headerLines(user) });
    const [line] = head.headers;
    if (line) line.value = Uint8Array.of(0xff, 0xfe);
    expect(() => requestedIdentity(head)).toThrow(expect.objectContaining({ code: ErrorCode.MALFORMED_REQUEST }));
  });

  it("more than 64 names, and not with 64", () => {
    const groups = Array.from({ length: 63 }, (_, i): [string, string] => ["Impersonate-Group", `g${i}`]);
    expect(asked(user, ...groups).groups).toHaveLength(63);
  });
});
