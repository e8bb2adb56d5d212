import { describe, expect, it } from "@jest/globals";
import { table } from "./output.ts";

describe("a table", () => {
  it("has columns as wide as their widest cell, and no blanks at the ends of lines", () => {
    const rows = [
      ["prod-eu1", "yes", "env=prod"],
      ["a", "no", ""],
    ];
    expect(table(["NAME", "CONNECTED", "LABELS"], rows)).toBe(
      "NAME       CONNECTED   LABELS\nprod-eu1   yes         env=prod\na          no",
    );
  });

  it("without rows is its header", () => {
    expect(table(["NAME", "LABELS"], [])).toBe("NAME   LABELS");
  });
});
