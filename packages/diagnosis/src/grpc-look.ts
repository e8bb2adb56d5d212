import { connect, type IncomingHttpHeaders } from "node:http2";
import type { TLSSocket } from "node:tls";
import { fromBinary } from "@bufbuild/protobuf";
import { type GetRelayResponse, GetRelayResponseSchema, methodPath, RelayService } from "@fairlead/protocol";
import { Failure, reasonOf } from "./checks.ts";
import { askByHttp1, describeAnswer } from "./first-bytes.ts";
import { STEP_MS } from "./relay-route.ts";

/** A gRPC message's prefix: not compressed, no bytes (grpc, doc/PROTOCOL-HTTP2.md). GetRelayRequest has nothing in it. */
const EMPTY_MESSAGE = Buffer.alloc(5);
const MAX_BYTES = 64 * 1024;
/** How long a peer may take to close what we have closed, in milliseconds. */
const CLOSE_MS = 1_000;
const NO_PAGE =
  "a portal or a block page answers in the relay's place: sign in to the network, or have the relay's name exempted";
const NO_GRPC =
  "what stands before the relay (a load balancer, an ingress, an inspecting proxy) does not pass gRPC: have it pass TLS through, or speak gRPC to the relay";

const NO_RELAY = "that is no relay, or one that is older than this program: check the address, or update the relay";

/** What the relay answered, and between which two instants of our clock, in milliseconds since the epoch. */
export interface RelayAnswer {
  relay: GetRelayResponse;
  sentAtMs: number;
  cameAtMs: number;
}

/** Whether HTTP/2 was agreed on (ALPN, RFC 7301). @throws Failure that tells who answers instead */
export async function http2Look(socket: TLSSocket, host: string): Promise<string> {
  if (socket.alpnProtocol === "h2") return "agreed on by ALPN";
  const chosen = socket.alpnProtocol ? `chose ${socket.alpnProtocol}` : "chose no protocol";
  const { line, isPage } = await askByHttp1(socket, host);
  const seen = `ALPN ${chosen}, and GET /healthz brought: ${line || "nothing"}`;
  if (isPage) throw new Failure("grpc", seen, NO_PAGE);
  throw new Failure("http2", seen, NO_GRPC);
}

/** Asks the relay what it is, by gRPC. @throws Failure with what answered if that is not the relay */
export async function grpcLook(socket: TLSSocket, authority: string): Promise<RelayAnswer> {
  const session = connect(`https://${authority}`, { createConnection: () => socket });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${STEP_MS / 1_000} s`)), STEP_MS);
  session.on("error", reject);
  const stream = session.request({
    ...{ ":method": "POST", ":path": methodPath(RelayService.method.getRelay) },
    ...{ "content-type": "application/grpc+proto", te: "trailers" },
  });
  const headers: IncomingHttpHeaders = {};
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on("response", (first) => Object.assign(headers, first));
  stream.on("trailers", (last) => Object.assign(headers, last));
  stream.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_BYTES) stream.destroy();
  });
  stream.on("error", reject);
  stream.once("close", () => resolve());
  const sentAtMs = Date.now();
  stream.end(EMPTY_MESSAGE);
  try {
    await promise;
    const relay = relayOf(headers, Buffer.concat(chunks));
    session.close(); // in good order: the peer's log is not to have an error
    setTimeout(() => session.destroy(), CLOSE_MS).unref();
    return { relay, sentAtMs, cameAtMs: Date.now() };
  } catch (cause) {
    session.destroy();
    if (cause instanceof Failure) throw cause;
    throw new Failure("grpc", `the call broke: ${reasonOf(cause)}`, NO_GRPC, { cause });
  } finally {
    clearTimeout(timer);
  }
}

function relayOf(headers: IncomingHttpHeaders, body: Buffer): GetRelayResponse {
  const status = Number(headers[":status"]);
  const type = headers["content-type"] ?? "";
  if (status !== 200 || !type.startsWith("application/grpc")) {
    const headerOf = (name: string): string | undefined => headers[name]?.toString();
    const { line, isPage } = describeAnswer(`HTTP ${status}`, headerOf, body.toString("latin1"));
    throw new Failure("grpc", line, isPage ? NO_PAGE : status === 404 ? NO_RELAY : NO_GRPC);
  }
  const code = headers["grpc-status"];
  if (code === undefined) throw new Failure("grpc", "the answer has no trailers (grpc-status)", NO_GRPC);
  if (code === "12") {
    const seen = "the relay does not know GetRelay (gRPC status 12): it is older than this program";
    throw new Failure("version", seen, "update the relay");
  }
  if (code !== "0") throw new Failure("grpc", `gRPC status ${code}: ${headers["grpc-message"] ?? ""}`, NO_GRPC);
  return fromBinary(GetRelayResponseSchema, body.subarray(EMPTY_MESSAGE.length));
}
