import { create } from "@bufbuild/protobuf";
import { ErrorCode, exchangeIdText, FairleadError, Hop, newExchangeId, RequestHeadSchema } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import { describe, expect, it } from "@jest/globals";
import { RequestRecord } from "./request-record.ts";
import { headerLines } from "./requester-fixture.ts";

const CANARY = "canary-7f3a";
const exchangeId = newExchangeId();
const head = create(RequestHeadSchema, {
  exchangeId,
  cluster: "prod-eu1",
  method: "GET",
  target: `/api/v1/namespaces/default/pods/p1/exec?command=${CANARY}`,
  headers: headerLines(["Authorization", `Bearer ${CANARY}`], ["Cookie", CANARY]),
  upgrade: "websocket",
  client: "fairlead/0.1.0",
});
const jane = { user: "jane", groups: ["dev", "ops"], uid: undefined, expiresAtMs: 0 };

function recorded(act: (record: RequestRecord) => void): [fields: object, message: string][] {
  const lines: [object, string][] = [];
  act(
    new RequestRecord({
      info: (fields: object, message: string) => lines.push([fields, message]),
    } as unknown as Logger),
  );
  return lines;
}

const LINE = {
  auditID: exchangeIdText(exchangeId),
  cluster: "prod-eu1",
  method: "GET",
  path: "/api/v1/namespaces/default/pods/p1/exec",
  upgrade: "websocket",
  client: "fairlead/0.1.0",
};

describe("the record of a request", () => {
  it("says who did what, and what came of it, under the id of the cluster's audit log", () => {
    const lines = recorded((record) => record.of(head, jane, performance.now() - 1_500, "jane")(101));
    const ms = expect.any(Number);
    expect(lines).toEqual([[{ ...LINE, user: "jane", groups: 2, status: 101, ms }, "request"]]);
    expect(Object(lines[0]?.[0]).ms).toBeGreaterThanOrEqual(1_499);
  });

  it("that was refused says why", () => {
    const fault = new FairleadError(
      ErrorCode.TOKEN_REFUSED,
      Hop.IDENTITY_PROXY,
      "the token is refused: it has expired",
    );
    const lines = recorded((record) => record.refused(head, fault));
    const why = { refused: "TOKEN_REFUSED", reason: "the token is refused: it has expired" };
    expect(lines).toEqual([[{ ...LINE, ...why }, "request refused"]]);
  });

  it("says whose token it was, where the request was carried out as another", () => {
    const [line] = recorded((record) => record.of(head, jane, 0, "admin")(200));
    expect(line?.[0]).toMatchObject({ user: "jane", originalUser: "admin" });
  });

  it("has no upgrade where there is none", () => {
    const plain = create(RequestHeadSchema, { ...head, upgrade: "" });
    const [line] = recorded((record) => record.of(plain, jane, 0, "jane")(200));
    expect(line?.[0]).not.toHaveProperty("upgrade");
  });

  it("has nothing of the query and of the headers, where secrets are", () => {
    const lines = recorded((record) => {
      record.of(head, jane, 0, "jane")(200);
      record.refused(head, new Error("a fault"));
    });
    expect(JSON.stringify(lines)).not.toContain(CANARY);
  });
});
