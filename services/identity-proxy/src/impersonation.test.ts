import type { Subject } from "@fairlead/authentication";
import { ErrorCode, exchangeIdText, Hop } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { asksForImpersonation, callerToken, impersonatingHeaders, passingHeaders } from "./impersonation.ts";
import { headerLines, requestHead } from "./requester-fixture.ts";

const BEARER = "base64url.bearer.authorization.k8s.io.";
const HOST = "k.example:6443";

const subject = (changes: Partial<Subject> = {}): Subject => ({
  user: "jane",
  groups: [],
  uid: undefined,
  expiresAtMs: 0,
  ...changes,
});

const headOf = (...lines: [string, string][]) => requestHead({ headers: headerLines(...lines) });

/** What goes to the apiserver, as pairs, each value the text that its bytes are in UTF-8. */
function sent(head: ReturnType<typeof requestHead>, who = subject(), token?: string): [name: string, value: string][] {
  const raw = impersonatingHeaders(head, who, HOST, token);
  return raw.flatMap((name, i): [string, string][] =>
    i % 2 === 0 ? [[name, Buffer.from(raw[i + 1] ?? "", "latin1").toString()]] : [],
  );
}

const named = (pairs: [string, string][], name: string) =>
  pairs.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);

/** Names of impersonation headers: today's, and such as may come. */
const IMPERSONATION = [
  "Impersonate-User",
  "impersonate-user",
  "IMPERSONATE-USER",
  "iMpErSoNaTe-uSeR",
  "Impersonate-Group",
  "IMPERSONATE-GROUP",
  "Impersonate-Uid",
  "Impersonate-Extra-scopes",
  "impersonate-extra-%66oo",
  "Impersonate-Extra-",
  "Impersonate-",
  "Impersonate-Tenant",
  "Impersonate-Not-Yet-Invented",
  "IMPERSONATE-NODE",
];

/** Names that another authenticator, or a proxy before the apiserver, might believe. */
const BELIEVED = [
  "X-Remote-User",
  "x-remote-group",
  "X-REMOTE-EXTRA-scopes",
  "X-Remote-Uid",
  "X-Remote-Not-Yet-Invented",
  "X-Forwarded-For",
  "x-forwarded-host",
  "X-Forwarded-User",
  "Forwarded",
  "X-Real-Ip",
  "Fairlead-Timings",
  "fairlead-anything",
];

describe("a header of the caller's", () => {
  it.each([...IMPERSONATION, ...BELIEVED])("%s never goes on", (name) => {
    expect(named(sent(headOf([name, "evil"])), name.toLowerCase())).not.toContain("evil");
  });

  it.each([
    "Authorization",
    "AUTHORIZATION",
    "authorization",
    "Host",
    "HOST",
    "Audit-ID",
    "audit-id",
    "Content-Length",
  ])("%s is not the one that goes on", (name) => {
    expect(named(sent(headOf([name, "7"]), subject(), "own"), name.toLowerCase())).not.toContain("7");
  });

  it.each([
    "Connection",
    "Keep-Alive",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "HTTP2-Settings",
  ])("%s belongs to its connection and never goes on, although a peer let it through", (name) => {
    expect(named(sent(headOf([name, "x"])), name.toLowerCase())).toEqual([]);
  });

  it("goes on as it is otherwise: order, case, repeats and bytes", () => {
    const own: [string, string][] = [
      ["Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"],
      ["User-Agent", "kubectl/v1.36.3 (linux/amd64)"],
      ["warning", '299 - "a, b"'],
      ["Warning", '299 - "c"'],
      ["X-Size", "é"],
      ["Impersonation", "no prefix of ours"],
      ["X-Remoteness", "likewise"],
    ];
    expect(sent(headOf(...own)).slice(1, 1 + own.length)).toEqual(own);
  });
});

describe("the request to the apiserver", () => {
  it("impersonates the subject: user, each group on its own line, uid", () => {
    const pairs = sent(headOf(), subject({ groups: ["dev", "ops"], uid: "42" }));
    expect(pairs.filter(([name]) => name.startsWith("Impersonate-"))).toEqual([
      ["Impersonate-User", "jane"],
      ["Impersonate-Group", "dev"],
      ["Impersonate-Group", "ops"],
      ["Impersonate-Uid", "42"],
    ]);
  });

  it("impersonates no uid where the subject has none", () => {
    expect(named(sent(headOf()), "impersonate-uid")).toEqual([]);
  });

  it.each(["jürgen", "测试", "👩‍🚀", "a,b", "Jane Doe", "a:b%2F/c", "é"])(
    "names the user %s exactly, as bytes in UTF-8",
    (user) => {
      expect(named(sent(headOf(), subject({ user })), "impersonate-user")).toEqual([user]);
    },
  );

  it.each(["Größe", "开发者", "a, b", "group with blanks"])(
    "names the group %s exactly, as bytes in UTF-8",
    (group) => {
      expect(named(sent(headOf(), subject({ groups: [group] })), "impersonate-group")).toEqual([group]);
    },
  );

  it("names 10,000 groups in their order", () => {
    const groups = Array.from({ length: 10_000 }, (_, i) => `group-${i}`);
    expect(named(sent(headOf(), subject({ groups })), "impersonate-group")).toEqual(groups);
  });

  it("has one Host and one Audit-ID: ours, which is the exchange's id", () => {
    const head = headOf(["Host", "evil"], ["Audit-ID", "theirs"], ["audit-id", "again"]);
    expect(named(sent(head), "host")).toEqual([HOST]);
    expect(named(sent(head), "audit-id")).toEqual([exchangeIdText(head.exchangeId)]);
  });

  it("has exactly one Authorization: the proxy's own", () => {
    const head = headOf(["Authorization", "Bearer theirs"], ["AUTHORIZATION", "Basic theirs"]);
    expect(named(sent(head, subject(), "own"), "authorization")).toEqual(["Bearer own"]);
  });

  it("has no Authorization where the proxy shows a certificate", () => {
    expect(named(sent(headOf(["Authorization", "Bearer theirs"])), "authorization")).toEqual([]);
  });

  it.each([
    "Impersonate-User",
    "impersonate-user, Impersonate-Group",
    "Authorization, Audit-ID, Host",
    "close, Impersonate-Uid",
    "Upgrade,Impersonate-User,Sec-WebSocket-Protocol",
  ])("keeps what is ours although Connection names %s", (connection) => {
    const head = headOf(["Connection", connection], ["Sec-WebSocket-Protocol", "v5.channel.k8s.io"]);
    const pairs = sent(head, subject({ groups: ["dev"], uid: "42" }), "own");
    const names = ["host", "audit-id", "authorization", "impersonate-user", "impersonate-group", "impersonate-uid"];
    for (const name of names) expect(named(pairs, name)).toHaveLength(1);
    expect(named(pairs, "sec-websocket-protocol")).toEqual(["v5.channel.k8s.io"]);
    expect(named(pairs, "connection")).toEqual([]);
  });

  it("loses what Connection names of the caller's own", () => {
    expect(named(sent(headOf(["Connection", "X-Hop"], ["X-Hop", "1"], ["X-Other", "2"])), "x-hop")).toEqual([]);
  });
});

describe("a request for impersonation", () => {
  it.each(IMPERSONATION)("is one by %s", (name) => {
    expect(asksForImpersonation(headOf(["Accept", "*/*"], [name, "joe"]))).toBe(true);
  });

  it("is not one that only looks alike", () => {
    expect(asksForImpersonation(headOf(["Impersonation", "a"], ["X-Impersonate-User", "b"]))).toBe(false);
  });
});

describe("extras", () => {
  const extraLines = (extra: Record<string, string[]>) => {
    const pairs = sent(headOf(), subject({ extra })).filter(([name]) => name.startsWith("Impersonate-Extra-"));
    return pairs.map(([name, value]) => [name.slice("Impersonate-Extra-".length), value]);
  };

  it.each<[key: string, name: string]>([
    ["example.com/team", "example.com%2fteam"],
    ["example.com/a:b", "example.com%2fa%3ab"],
    ["example.com/50%", "example.com%2f50%25"],
    ["example.com/(a)", "example.com%2f%28a%29"],
    ["example.com/a=b;c,d@e", "example.com%2fa%3db%3bc%2cd%40e"],
    ["example.com/!$&'*+._~-", "example.com%2f!$&'*+._~-"],
    ["example.com/größe", "example.com%2fgr%c3%b6%c3%9fe"],
  ])("have the key %s percent-encoded, as a header's name takes it", (key, name) => {
    expect(extraLines({ [key]: ["v"] })).toEqual([[name, "v"]]);
  });

  it("have each value on a line of its own, exact", () => {
    const values = ["a, b", "Größe", "开发者", "%2f"];
    expect(extraLines({ "example.com/team": values })).toEqual(values.map((value) => ["example.com%2fteam", value]));
  });

  it("are none where there are none", () => {
    expect(extraLines({})).toEqual([]);
  });
});

describe("the headers of a request that passes with its own credential", () => {
  const pairs = (...lines: [string, string][]) => {
    const raw = passingHeaders(headOf(...lines), HOST, "the.token");
    return raw.flatMap((name, i): [string, string][] => (i % 2 === 0 ? [[name, raw[i + 1] ?? ""]] : []));
  };

  it("have that credential once, our Host and our Audit-ID, and impersonate nobody", () => {
    const lines = pairs(["authorization", "Bearer x"], ["Host", "evil"], ["Audit-ID", "theirs"], ["Accept", "*/*"]);
    expect(lines.map(([name]) => name)).toEqual(["Host", "Accept", "Audit-ID", "Authorization"]);
    expect(named(lines, "authorization")).toEqual(["Bearer the.token"]);
    expect(named(lines, "host")).toEqual([HOST]);
  });

  it.each([...IMPERSONATION, ...BELIEVED])("have no %s", (name) => {
    expect(named(pairs([name, "evil"]), name.toLowerCase())).toEqual([]);
  });
});

describe("the WebSocket subprotocols", () => {
  const bearer = BEARER + Buffer.from("the.token").toString("base64url");

  it.each<[what: string, lines: string[], kept: string[]]>([
    ["without bearer stay", ["v5.channel.k8s.io"], ["v5.channel.k8s.io"]],
    ["lose the bearer's in front", [`${bearer}, v5.channel.k8s.io`], ["v5.channel.k8s.io"]],
    ["lose the bearer's behind", [`v5.channel.k8s.io,${bearer}`], ["v5.channel.k8s.io"]],
    ["lose the bearer's in the middle", [`a, ${bearer} ,b`], ["a, b"]],
    ["lose the bearer's in a line of its own", ["v5.channel.k8s.io", bearer], ["v5.channel.k8s.io"]],
    [
      "of several lines become one",
      ["v5.channel.k8s.io", "v4.channel.k8s.io"],
      ["v5.channel.k8s.io, v4.channel.k8s.io"],
    ],
    ["with the bearer's alone are none", [bearer], []],
    ["that are empty are none", [" , ,"], []],
  ])("%s", (_what, lines, kept) => {
    const head = headOf(...lines.map((line): [string, string] => ["Sec-WebSocket-Protocol", line]));
    expect(named(sent(head), "sec-websocket-protocol")).toEqual(kept);
  });

  it.each(["a\r\nImpersonate-User: root", "a\nb", "a\rb", "a\0b, v5.channel.k8s.io"])(
    "that are not one line are refused, although a peer let them through: %j",
    (line) => {
      const head = headOf(["Sec-WebSocket-Protocol", line]);
      expect(() => impersonatingHeaders(head, subject(), HOST)).toThrow(
        expect.objectContaining({ code: ErrorCode.PROTOCOL_VIOLATION }),
      );
    },
  );

  it("carry the caller's token, whichever line it is in", () => {
    for (const lines of [
      [`v5.channel.k8s.io, ${bearer}`],
      ["v5.channel.k8s.io", bearer],
      [bearer, "v5.channel.k8s.io"],
    ]) {
      const head = headOf(...lines.map((line): [string, string] => ["sec-websocket-protocol", line]));
      expect(callerToken(head)).toBe("the.token");
    }
  });
});

describe("the caller's token", () => {
  it.each<[value: string, token: string | undefined]>([
    ["Bearer the.token", "the.token"],
    ["bearer the.token", "the.token"],
    ["Bearer  the.token ", "the.token"],
    ["Basic the.token", undefined],
    ["Bearer", undefined],
    ["Bearer ", undefined],
    ["Bearer a b", undefined],
    ["Bearer a, Bearer b", undefined],
    ["the.token", undefined],
    ["", undefined],
  ])("of Authorization: %j is %j", (value, token) => {
    expect(callerToken(headOf(["Authorization", value]))).toBe(token);
    expect(callerToken(headOf(["AUTHORIZATION", value]))).toBe(token);
  });

  it("is none without a credential", () => {
    expect(callerToken(headOf(["Accept", "*/*"], ["Sec-WebSocket-Protocol", "v5.channel.k8s.io"]))).toBeUndefined();
  });

  it.each<[what: string, lines: [string, string][]]>([
    [
      "two Authorization headers",
      [
        ["Authorization", "Bearer a"],
        ["authorization", "Bearer b"],
      ],
    ],
    [
      "the same Authorization twice",
      [
        ["Authorization", "Bearer a"],
        ["Authorization", "Bearer a"],
      ],
    ],
    [
      "an Authorization that is no bearer's beside one",
      [
        ["Authorization", "Basic a"],
        ["Authorization", "Bearer b"],
      ],
    ],
    [
      "Authorization and subprotocol",
      [
        ["Authorization", "Bearer a"],
        ["Sec-WebSocket-Protocol", `${BEARER}YQ, v5`],
      ],
    ],
    ["two subprotocols in a line", [["Sec-WebSocket-Protocol", `${BEARER}YQ, ${BEARER}Yg`]]],
    [
      "two subprotocols in two lines",
      [
        ["Sec-WebSocket-Protocol", `${BEARER}YQ`],
        ["Sec-WebSocket-Protocol", `${BEARER}Yg`],
      ],
    ],
  ])("is refused when there are several: %s", (_what, lines) => {
    expect(() => callerToken(headOf(...lines))).toThrow(
      expect.objectContaining({ code: ErrorCode.MALFORMED_REQUEST, hop: Hop.IDENTITY_PROXY }),
    );
  });
});
