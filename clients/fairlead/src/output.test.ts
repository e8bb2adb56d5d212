import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { Command } from "commander";
import { addRelayOptions } from "./commands/relay-options.ts";
import { OUTPUT_FORMATS, type OutputFormat, printAnswer, refuseOtherFormats, table, withFormats } from "./output.ts";

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

describe("an answer", () => {
  let written: string;

  beforeEach(() => {
    written = "";
    jest.spyOn(process.stdout, "write").mockImplementation((text) => {
      written += text;
      return true;
    });
  });

  afterEach(() => {
    jest.restoreAllMocks();
  });

  const answer = {
    value: () => [{ name: "prod-eu1", nodes: 3 }],
    text: () => "NAME",
    wide: () => "NAME   NODES",
    names: () => ["prod-eu1", "sta\u001b[2Jging"],
  };
  const expected: Record<OutputFormat, string> = {
    text: "NAME\n",
    wide: "NAME   NODES\n",
    json: '[{"name":"prod-eu1","nodes":3}]\n',
    yaml: "- name: prod-eu1\n  nodes: 3\n",
    name: "prod-eu1\nsta\ufffd[2Jging\n",
  };

  it.each(OUTPUT_FORMATS)("is printed as %s, on standard output", async (format) => {
    await printAnswer(format, answer);
    expect(written).toBe(expected[format]);
  });

  it("without names has none, and without a wide table has the other one", async () => {
    for (const format of ["name", "wide"] as const) await printAnswer(format, { value: () => [], text: () => "NAME" });
    expect(written).toBe("NAME\n");
  });
});

describe("a format that a command has not", () => {
  const ask = (format: string, ...more: OutputFormat[]) => {
    const command = withFormats(new Command("rules"), ...more).action(() => {});
    addRelayOptions(new Command("fairlead")).addCommand(command).parse(["rules", "--output", format], { from: "user" });
    command.exitOverride().configureOutput({ writeErr: () => {} });
    return () => refuseOtherFormats(command);
  };

  it("is refused with those that it has", () => {
    expect(ask("wide", "yaml")).toThrow("error: rules cannot answer as wide, but as text, json, yaml");
    expect(ask("yaml")).toThrow("error: rules cannot answer as yaml, but as text, json");
  });

  it("is none of text, JSON and what it says that it has", () => {
    for (const format of ["text", "json", "name"]) expect(ask(format, "name")).not.toThrow();
  });
});
