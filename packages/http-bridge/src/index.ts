export { header, headerValues, toFrameHeaders, toRawHeaders } from "./headers.ts";
export { InboundHttp, type InboundRequest } from "./inbound-http.ts";
export { InboundUpgrade, plainAnswer } from "./inbound-upgrade.ts";
export { serveLane } from "./outbound-lane.ts";
export { checkRequest } from "./request-checks.ts";
export { ERROR_HEADER, sendStatus, sentence, statusBody } from "./status.ts";
export { readSubprotocols, type Subprotocols } from "./subprotocols.ts";
export { TIMINGS_HEADER } from "./timings.ts";
export type { Prepare, Upstream } from "./upstream.ts";
