import { describe, expect, it } from "@jest/globals";
import { fc, fuzz, mutated, mutatedText } from "./index.ts";

describe("a property", () => {
  it("that does not hold fails with its seed, the smallest input and the reason", async () => {
    const property = fc.property(fc.nat(), (number) => expect(number).toBeLessThan(10));
    await expect(fuzz(1_000, property)).rejects.toThrow(/seed: -?\d+[\s\S]*Counterexample: \[10\][\s\S]*toBeLessThan/);
  });

  it("that does not hold after a wait fails likewise", async () => {
    const property = fc.asyncProperty(fc.nat(), async (number) => expect(number).toBeLessThan(10));
    await expect(fuzz(1_000, property)).rejects.toThrow(/seed: -?\d+[\s\S]*Counterexample: \[10\]/);
  });
});

describe("what is changed", () => {
  it("has things put in, taken out and repeated, and is cut off", async () => {
    const seen = new Set<string>();
    await fuzz(
      1_000,
      fc.property(mutated(fc.constant([1, 2, 3]), fc.constantFrom([], [4])), (list) => {
        seen.add(list.join(""));
      }),
    );
    expect([...seen]).toEqual(expect.arrayContaining(["1234", "23", "1423", "12323", "1"]));
  });

  it("is text where it was text, one character a byte", async () => {
    const isBytes = (text: string): boolean => [...text].every((character) => character.charCodeAt(0) < 256);
    await fuzz(
      1_000,
      fc.property(mutatedText(fc.constant("abc"), ["\r\n"]), (text) => expect(isBytes(text)).toBe(true)),
    );
  });
});
