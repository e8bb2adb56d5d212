import { describe, expect, it } from "@jest/globals";
import { Failure } from "./checks.ts";
import { diagnose, type Step } from "./diagnose.ts";

const step = (check: Step["check"], look: () => Promise<string> = async () => `${check} seen`): Step => ({
  check,
  look,
});
const failing = (check: Step["check"]) => async (): Promise<string> => {
  throw new Failure(check, "broken", "mend it");
};

describe("a diagnosis", () => {
  it("is healthy if nothing fails", async () => {
    const { checks, failed } = await diagnose([step("name"), step("tls")]);
    expect(failed).toBeUndefined();
    expect(checks).toEqual([
      { check: "name", state: "ok", seen: "name seen" },
      { check: "tls", state: "ok", seen: "tls seen" },
    ]);
  });

  it("shows nothing that was sent", async () => {
    const echo = step("grpc", async () => "you sent ghp_opaque");
    const { checks } = await diagnose([echo], () => ["ghp_opaque"]);
    expect(checks).toEqual([{ check: "grpc", state: "ok", seen: "you sent [secret]" }]);
  });

  it("ends at the first that fails", async () => {
    const { checks, failed } = await diagnose([step("name"), step("tls", failing("tls")), step("grpc")]);
    expect(failed).toEqual({ check: "tls", state: "failed", seen: "broken", remedy: "mend it" });
    expect(checks.map(({ state }) => state)).toEqual(["ok", "failed", "skipped"]);
  });

  it("says of a hop that a later look found out about, that it fails, and of those between nothing", async () => {
    const { checks, failed } = await diagnose([
      ...[step("name"), step("apiserver"), step("rights"), step("request", failing("apiserver"))],
    ]);
    expect(failed?.check).toBe("apiserver");
    expect(checks.map(({ state }) => state)).toEqual(["ok", "failed", "skipped", "skipped"]);
  });

  it("says of a hop before whose turn it was found out about, that it fails", async () => {
    const { checks } = await diagnose([step("name"), step("http2", failing("grpc")), step("grpc")]);
    expect(checks.map(({ state }) => state)).toEqual(["ok", "skipped", "failed"]);
  });

  it("takes an error that nobody expected for the step's own", async () => {
    const look = async (): Promise<string> => {
      throw new AggregateError([new Error("one"), new Error("other")]);
    };
    const { failed } = await diagnose([step("name"), step("connection", look)]);
    expect(failed).toMatchObject({ check: "connection", seen: "one; other" });
  });

  it("takes a failure of a hop that is not looked at for the step's own", async () => {
    const { failed } = await diagnose([step("name", failing("rights"))]);
    expect(failed).toMatchObject({ check: "name", seen: "broken" });
  });
});
