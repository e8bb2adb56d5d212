import type { TLSSocket } from "node:tls";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { isOlder } from "@fairlead/protocol";
import { type Check, Failure } from "./checks.ts";
import type { Step } from "./diagnose.ts";
import { grpcLook, http2Look, type RelayAnswer } from "./grpc-look.ts";
import { type RelayAddress, RelayRoute } from "./relay-route.ts";
import { certificateLine, tlsLook } from "./tls-look.ts";

/** How far a clock may be off, in milliseconds: tokens are refused beyond. */
const CLOCK_TOLERANCE_MS = 30_000;

/** Who looks, and what its version is. */
export interface Looker {
  kind: "client" | "agent";
  version: string;
}

/** The steps up to a relay that answers; both ends of the tunnel have them in common. */
export function relaySteps(address: RelayAddress, looker: Looker): Step[] {
  const route = new RelayRoute(address);
  let secure: TLSSocket | undefined;
  let answer: RelayAnswer | undefined;
  const tls = async (): Promise<string> => {
    secure = await tlsLook(route.socket, address);
    return `${secure.getProtocol() ?? "TLS"}, ${certificateLine(secure.getPeerCertificate())}`;
  };
  const http2 = async (): Promise<string> => http2Look(made(secure), address.host);
  const grpc = async (): Promise<string> => {
    answer = await grpcLook(made(secure), `${address.host}:${address.port}`);
    return `the relay answers (${answer.cameAtMs - answer.sentAtMs} ms)`;
  };
  const step = (check: Check, look: () => Promise<string>): Step => ({
    check,
    look: async () => {
      try {
        return await look();
      } catch (error) {
        route.close();
        throw error;
      }
    },
  });
  return [
    step("name", () => route.name()),
    step("connection", () => route.connection()),
    step("proxy", () => route.proxy()),
    step("tls", tls),
    step("http2", http2),
    step("grpc", grpc),
    step("clock", async () => clockLook(made(answer))),
    step("version", async () => versionLook(made(answer), looker)),
  ];
}

/** The clocks of this machine and of the relay's. @throws Failure if they are too far apart */
export function clockLook({ relay: { time }, sentAtMs, cameAtMs }: RelayAnswer): string {
  const theirs = time === undefined ? 0 : timestampMs(time);
  const offMs = (sentAtMs + cameAtMs) / 2 - theirs;
  const off = `${(Math.abs(offMs) / 1_000).toFixed(1)} s ${offMs < 0 ? "behind" : "ahead of"} the relay's`;
  if (Math.abs(offMs) - (cameAtMs - sentAtMs) / 2 <= CLOCK_TOLERANCE_MS) return `this machine's is ${off}`;
  const at = `here it is ${new Date(cameAtMs).toISOString()}, at the relay ${new Date(theirs).toISOString()}`;
  const remedy = "set the clock that is wrong (NTP); tokens and proofs are refused beyond 30 s";
  throw new Failure("clock", `this machine's is ${off}: ${at}`, remedy);
}

/** Whether the relay supports this program. @throws Failure if it does not */
export function versionLook({ relay }: RelayAnswer, { kind, version }: Looker): string {
  const oldest = kind === "client" ? relay.oldestClientVersion : relay.oldestAgentVersion;
  const both = `the relay is ${relay.version}, this ${kind} is ${version}`;
  if (!isOlder(version, oldest)) return both;
  const what = kind === "client" ? "fairlead" : "fairlead-agent";
  throw new Failure(
    "version",
    `${both}, and the oldest that it supports is ${oldest}`,
    `update ${what} to ${oldest} or newer`,
  );
}

function made<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("a step before this one was left out");
  return value;
}
