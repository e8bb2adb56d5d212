import { fc, fuzz, mutatedText } from "@fairlead/fuzzing";
import { describe, expect, it } from "@jest/globals";
import { isReadOnly } from "./read-only.ts";
import { requestInfoOf } from "./request-info.ts";
import {
  isOwnTarget,
  parseServicePort,
  type ServicePort,
  servicePortOf,
  servicePortText,
  serviceTarget,
} from "./service-port.ts";

/** What one reader drops, decodes or cuts at, and another does not; and what would name more than one Service. */
const PIECES = [
  "/",
  "//",
  "/../",
  "%2f",
  "%3a",
  ":",
  "*",
  "?",
  "#",
  ";",
  ",",
  ".",
  "-",
  "0",
  "\n",
  "%",
  "%25",
  "A",
  "80",
];

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const ports: fc.Arbitrary<ServicePort> = fc.record({
  namespace: label,
  name: label,
  port: fc.integer({ min: 1, max: 65_535 }),
});

describe("a Service's port, made up", () => {
  it("is read from its target and its text as it was written", () =>
    fuzz(
      1_000,
      fc.property(ports, (port) => {
        expect(servicePortOf(serviceTarget(port))).toEqual(port);
        expect(parseServicePort(servicePortText(port))).toEqual(port);
      }),
    ));

  it("has one way to be written: what is read from another target or text is exactly that", () =>
    fuzz(
      2_000,
      fc.property(
        mutatedText(ports.map(serviceTarget), PIECES),
        mutatedText(ports.map(servicePortText), PIECES),
        (t, x) => {
          const [fromTarget, fromText] = [servicePortOf(t), parseServicePort(x)];
          if (fromTarget) expect([serviceTarget(fromTarget), isOwnTarget(t)]).toEqual([t, true]);
          if (fromText) expect(servicePortText(fromText)).toBe(x);
        },
      ),
    ));

  it("is judged by rules and scopes as the very Service that is connected to, and never as reading", () =>
    fuzz(
      2_000,
      fc.property(
        mutatedText(ports.map(serviceTarget), PIECES),
        fc.constantFrom("POST", "GET", "HEAD"),
        fc.constantFrom("tcp.fairlead.dev", ""),
        (target, method, upgrade) => {
          const port = servicePortOf(target);
          if (port === undefined) return;
          expect(isReadOnly({ method, target, upgrade })).toBe(false);
          expect(requestInfoOf({ method, target, upgrade })).toMatchObject({
            ...{ kind: "resource", apiGroup: "tunnel.fairlead.dev", resource: "services", subresource: "portforward" },
            ...{ namespace: port.namespace, name: `${port.name}:${port.port}` },
          });
        },
      ),
    ));
});
