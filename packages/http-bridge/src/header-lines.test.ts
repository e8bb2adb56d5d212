import { describe, expect, it } from "@jest/globals";
import { asHeaders, CONTROL, TOKEN } from "./header-lines.ts";

const characters = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));
const TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

describe("header lines", () => {
  it("become names and values in turn, as they are written and in their order", () => {
    expect(asHeaders(["b: 1", "A: 2", "b: 3", "B:4"])).toEqual(["b", "1", "A", "2", "b", "3", "B", "4"]);
    expect(asHeaders([])).toEqual([]);
  });

  it.each([
    ["A:b", "b"],
    ["A: b", "b"],
    ["A: \t b c\td \t", "b c\td"],
    ["A:", ""],
    ["A: \t ", ""],
    ["A:b:c", "b:c"],
    ["A: :", ":"],
    ["A: \xa0", "\xa0"],
    ["A: \xa0b\xa0 ", "\xa0b\xa0"],
    ["A: \x85", "\x85"],
    ["A: \xff\x80", "\xff\x80"],
    ["A: \ud83d", undefined],
    ["A: \u2003b", undefined],
  ])("%j have HTTP's blanks taken away around the value, and no others", (line, value) => {
    if (value !== undefined) expect(asHeaders([line])).toEqual(["A", value]);
    else expect(() => asHeaders([line])).toThrow("a line of the head is no header");
  });

  it("have every character in a name that is one of a token, and no other", () => {
    for (const each of characters) {
      const isToken = TOKEN_CHARACTERS.includes(each);
      expect([each, TOKEN.test(each), TOKEN.test(`a${each}`), TOKEN.test(`${each}a`)]).toEqual([
        each,
        isToken,
        isToken,
        isToken,
      ]);
      for (const name of [each, `x${each}`, `${each}x`, `x${each}x`]) {
        const read = (): string[] => asHeaders([`${name}: y`]);
        if (isToken) expect(read()).toEqual([name, "y"]);
        else if (each === ":" && name.startsWith("x")) expect(read()[0]).toBe("x");
        else expect(read).toThrow("a line of the head is no header");
      }
    }
  });

  it("have every character in a value but those that control", () => {
    for (const [code, each] of characters.entries()) {
      const isFit = code === 9 || (code >= 32 && code !== 127);
      expect([code, CONTROL.test(each)]).toEqual([code, !isFit]);
      for (const value of [`a${each}a`, `a${each}`, each]) {
        const read = (): string[] => asHeaders([`X:${value}`]);
        if (isFit)
          expect(read()).toEqual(["X", each === " " || each === "\t" ? value.replace(/^[ \t]|[ \t]$/, "") : value]);
        else expect(read).toThrow("a line of the head is no header");
      }
    }
  });

  it.each([[["A: b", ""]], [["A: b", " c"]], [["A: b", "\tc: d"]], [["A"]], [[" A: b"]], [[": b"]], [["A : b"]]])(
    "%j are none, with what is good beside them",
    (lines) => {
      expect(() => asHeaders(lines)).toThrow("a line of the head is no header");
      expect(() => asHeaders(["X: y", ...lines, "Z: z"])).toThrow("a line of the head is no header");
    },
  );

  it("may be many and long, and are read in one pass", () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `X-${i}: ${"v".repeat(30)}`);
    expect(asHeaders(lines)).toHaveLength(40_000);
    expect(asHeaders([`X: ${" ".repeat(1_000_000)}y${" ".repeat(1_000_000)}`])).toEqual(["X", "y"]);
  });
});
