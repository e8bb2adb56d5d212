import { serveLane, toRawHeaders, UpstreamPool } from "@fairlead/http-bridge";
import type { Lane } from "@fairlead/protocol";
import type { Endpoint } from "../load/endpoint.ts";

/** Serves lanes by requests straight to an endpoint, as whoever that is for: the caller's token is not looked at. */
export function serveEndpoint({ host, port, tls, headers }: Endpoint): (lane: Lane) => void {
  const pool = new UpstreamPool({ host, port, ...(tls && { tls }) });
  const own = ["Host", `${host}:${port}`, ...Object.entries(headers).flat()];
  const isOwn = (name: string): boolean => name === "host" || name === "authorization";
  return (lane) => {
    serveLane(
      lane,
      (head) => ({ pool, headers: [...own, ...toRawHeaders(head.headers, isOwn)] }),
      () => {},
    );
  };
}
