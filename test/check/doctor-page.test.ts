import { readFileSync } from "node:fs";
import { TITLES } from "@fairlead/diagnosis";
import { describe, expect, it } from "@jest/globals";
import { faultRows } from "../support/doctor-page.ts";

const ROOT = new URL("../../", import.meta.url);
const tests = ["doctor-way", "doctor-cluster"]
  .map((name) => readFileSync(new URL(`test/fault/${name}.test.ts`, ROOT), "utf8"))
  .join("\n");

describe("the list of checks", () => {
  it("has each one once", () => {
    const page = readFileSync(new URL("docs/reference/doctor.md", ROOT), "utf8");
    const listed = [...page.matchAll(/^\| `([a-z0-9-]+)` \| (both|client|agent) \|/gm)].map(([, check]) => check);
    expect(listed.sort()).toEqual(Object.keys(TITLES).sort());
  });
});

describe("the table of what doctor answers", () => {
  it("has fourteen faults, in order", () => {
    const numbers = [...new Set(faultRows().map(({ number }) => number))];
    expect(numbers).toEqual(Array.from({ length: 14 }, (_, i) => i + 1));
  });

  it.each(faultRows())("is what the tests hold doctor to: $number, $fault ($side)", ({ fault }) => {
    expect(tests).toContain(JSON.stringify(fault));
  });
});
