import { describe, expect, it } from "@jest/globals";
import { withinDeadline } from "./deadline.ts";
import { celValue, Expression } from "./expression.ts";

const TOO_LONG = "it took longer than 250 ms to evaluate";

describe("a deadline", () => {
  it("gives what was evaluated", () => {
    expect(withinDeadline(() => ["jane"])).toEqual(["jane"]);
    expect(withinDeadline(() => undefined)).toBeUndefined();
  });

  it("throws what the evaluation throws, as it is", () => {
    const fault = new TypeError("no such key");
    expect(() =>
      withinDeadline(() => {
        throw fault;
      }),
    ).toThrow(fault);
  });

  it("ends what would never end, and the next is evaluated", () => {
    expect(() =>
      withinDeadline(() => {
        for (;;);
      }),
    ).toThrow(TOO_LONG);
    expect(withinDeadline(() => "jane")).toBe("jane");
  });
});

describe("an expression that runs for long by a caller's claims ends, and refuses the token", () => {
  const groups = Array.from({ length: 2_600 }, (_, i) => `${i % 1000}`);
  const long = { sub: "a".repeat(16_000), groups };

  it.each<[what: string, text: string, claims: object]>([
    [
      "a pattern that repeats within repeating, of sizes that V8 has no linear way for",
      'claims.sub.matches("^(([a-z])+.){20,63}[A-Z]$")',
      { sub: "a".repeat(60) },
    ],
    ["a pattern of hundreds of parts that may be left out", 'claims.sub.matches("(a?){500}a{500}b")', long],
    [
      "a slow pattern for each element: it took 16 s",
      'claims.groups.all(g, !claims.sub.matches("a*a*a*a*a*a*b"))',
      long,
    ],
    [
      "a list made of a long text for each element: it took 3 s and 900 MB",
      'claims.groups.map(g, claims.groups.join(",").split(",")).size() > 0',
      { groups: [...groups, ...groups] },
    ],
  ])("%s", (_what, text, claims) => {
    const expression = new Expression(text, "claims", "bool");
    const from = performance.now();
    expect(() => expression.evaluate(celValue(claims))).toThrow(TOO_LONG);
    expect(performance.now() - from).toBeLessThan(2_000);
  });

  it("and what is usual is far from it", () => {
    const usual = new Expression(
      'claims.groups.filter(g, g.matches("^[0-9]{1,40}$")).map(g, "a:" + g)',
      "claims",
      "texts",
    );
    const from = performance.now();
    expect(usual.evaluate(celValue(long))).toHaveLength(2_600);
    expect(performance.now() - from).toBeLessThan(125);
  });
});
