import { describe, expect, it } from "@jest/globals";
import { COMMANDS } from "./index.ts";

describe("the list of commands", () => {
  it.each(COMMANDS)("says of $name what the command says of itself", async ({ name, description, load }) => {
    const command = await load();
    expect([command.name(), command.description()]).toEqual([name, description]);
  });
});
