import type { TLSSocket } from "node:tls";

/** How much of a stranger's answer is read, in bytes, and for how long, in milliseconds. */
const MAX_BYTES = 4 * 1024;
const READ_MS = 3_000;

/** An answer of whoever it is that answers, as far as it was read. */
export interface StrangersAnswer {
  /** One line: status, server and type, and what a page calls itself. */
  line: string;
  /** Whether it is a page for people: of a portal or a block. */
  isPage: boolean;
}

/**
 * Asks by HTTP/1.1 who answers on a connection where no HTTP/2 is spoken.
 *
 * @returns "" as the line if nothing comes
 */
export async function askByHttp1(socket: TLSSocket, host: string): Promise<StrangersAnswer> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let text = "";
  const timer = setTimeout(resolve, READ_MS);
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
    if (text.length > MAX_BYTES) resolve();
  });
  socket.once("close", () => resolve());
  socket.once("end", () => resolve());
  socket.write(`GET /healthz HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  await promise;
  clearTimeout(timer);
  const [head = "", ...body] = text.split("\r\n\r\n");
  const [status = "", ...lines] = head.split("\r\n");
  const headerOf = (name: string): string | undefined =>
    lines
      .find((line) => line.toLowerCase().startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim();
  return describeAnswer(status, headerOf, body.join("\r\n\r\n"));
}

/**
 * Describes an answer that is not the relay's.
 *
 * @param status such as `HTTP 403`
 * @param body as far as it was read
 */
export function describeAnswer(
  status: string,
  headerOf: (name: string) => string | undefined,
  body: string,
): StrangersAnswer {
  const [type, server, location] = [headerOf("content-type"), headerOf("server"), headerOf("location")];
  const isPage = /html/i.test(type ?? "") || /<html|<!doctype/i.test(body);
  const title = /<title[^>]*>([^<]*)/i.exec(body)?.[1]?.trim();
  const parts = [
    ...[status, server && `server: ${server}`, type, location && `location: ${location}`],
    title ? `titled "${title}"` : body.trim().slice(0, 120),
  ];
  return { line: parts.filter(Boolean).join(", "), isPage };
}
