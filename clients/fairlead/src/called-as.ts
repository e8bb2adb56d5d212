import { parse } from "node:path";
import { isSea } from "node:sea";

/** By what name the program was called: its file's, a link's to it, or that of the package's file in bin/. */
export function calledAs(): string {
  return parse(isSea() ? process.argv0 : (process.argv[1] ?? "")).name;
}
