import { describe, expect, it } from "@jest/globals";
import { isOlder, isVersion } from "./version.ts";

describe("a version", () => {
  it.each([
    ["0.1.0", "0.2.0", true],
    ["0.9.0", "0.10.0", true],
    ["0.2.0", "0.2.0", false],
    ["1.0.0", "0.9.9", false],
    ["0.2.0-rc.1", "0.2.0", true],
    ["0.2.1-rc.1", "0.2.0", false],
    ["0.2.0+build", "0.2.0", false],
    ["unknown", "0.0.1", true],
    ["unknown", "", false],
  ])("%s, where %s is due, is too old: %s", (version, oldest, older) => {
    expect(isOlder(version, oldest)).toBe(older);
  });

  it("has three numbers", () => {
    expect(["0.1.0", "1.2.3-rc.1"].every(isVersion)).toBe(true);
    expect(["", "1", "v1.2.3", "1.2", "1.2.3\n"].some(isVersion)).toBe(false);
  });
});
