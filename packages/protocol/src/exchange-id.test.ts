import { describe, expect, it } from "@jest/globals";
import { exchangeIdText, newExchangeId } from "./exchange-id.ts";

describe("an exchange id", () => {
  it("is a random UUID, version 4", () => {
    const texts = Array.from({ length: 1_000 }, () => exchangeIdText(newExchangeId()));
    expect(new Set(texts).size).toBe(1_000);
    for (const text of texts)
      expect(text).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it("is written in the order of its bytes", () => {
    const id = Uint8Array.from({ length: 16 }, (_, i) => i * 17);
    expect(exchangeIdText(id)).toBe("00112233-4455-6677-8899-aabbccddeeff");
  });

  it("of a wrong length does not throw", () => {
    for (const id of [new Uint8Array(), Uint8Array.of(1, 2)]) expect(() => exchangeIdText(id)).not.toThrow();
  });
});
