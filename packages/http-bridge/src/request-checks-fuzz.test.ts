import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import { fc, fuzz, mutatedText } from "@fairlead/fuzzing";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { checkRequest, checkTarget } from "./request-checks.ts";

const GOOD = [
  "/",
  "/api/v1/namespaces/default/pods?watch=true",
  "/apis/apps/v1/deployments",
  "/api/v1/nodes/n/proxy/x",
];
const PIECES = [
  "http://evil/",
  "//",
  "@evil",
  "/../",
  "%2e%2e",
  "%2f",
  "\\",
  " ",
  "\t",
  "\r\nX: y",
  "\0",
  "?",
  "#",
  ":443",
  "*",
];

const targets = fc.oneof(
  { weight: 8, arbitrary: mutatedText(fc.constantFrom(...GOOD), PIECES) },
  { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
  { weight: 1, arbitrary: fc.webUrl() },
);

/** Whether a check lets something through. @throws whatever it throws that is not the one refusal */
function passes(check: () => void): boolean {
  try {
    check();
    return true;
  } catch (error) {
    if (error instanceof FairleadError && error.code === ErrorCode.MALFORMED_REQUEST) return false;
    throw error;
  }
}

describe("any target", () => {
  it("that is let through is read by node's server and by the URL standard as it is, on no other host", async () => {
    const reader = new TargetReader();
    const seen = { passed: 0, refused: 0 };
    const property = fc.asyncProperty(targets, async (target) => {
      if (!passes(() => checkTarget(target, Hop.RELAY))) {
        seen.refused++;
        return;
      }
      expect(await reader.read(target)).toEqual([target]);
      expect(new URL(`https://cluster.example${target}`).host).toBe("cluster.example");
      expect(decodeURI(encodeURI(target))).toBe(target);
      seen.passed++;
    });
    await fuzz(1_500, property);
    expect(Math.min(seen.passed, seen.refused)).toBeGreaterThan(200);
  });
});

describe("any request", () => {
  const name = fc.oneof(
    fc.mixedCase(fc.constantFrom("Host", "Authorization")),
    fc.constantFrom("Accept", "Hos", "Hosts"),
  );
  const lines = fc.array(fc.tuple(name, fc.constantFrom("", "a", "Host")), { maxLength: 5 });

  it("is let through exactly if its target is, and it has one Host and one Authorization at most", async () => {
    const property = fc.property(lines, fc.constantFrom("/", "x"), (pairs, url) => {
      const request = { url, rawHeaders: pairs.flat() } as IncomingMessage;
      const count = (wanted: string): number => pairs.filter(([each]) => each.toLowerCase() === wanted).length;
      const isDue = url === "/" && count("host") < 2 && count("authorization") < 2;
      expect(passes(() => checkRequest(request, Hop.RELAY))).toBe(isDue);
    });
    await fuzz(1_000, property);
  });
});

/** node's server, on connections that are none. */
class TargetReader {
  readonly #server = createServer();
  #read: string[] = [];

  constructor() {
    this.#server.on("request", (request, response) => {
      this.#read.push(request.url ?? "");
      response.end();
    });
  }

  /** The targets that it reads where a request with this one is written. */
  async read(target: string): Promise<string[]> {
    this.#read = [];
    const socket = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
    const over = once(socket, "finish");
    this.#server.emit("connection", socket);
    socket.push(Buffer.from(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`, "latin1"));
    await over;
    return this.#read;
  }
}
