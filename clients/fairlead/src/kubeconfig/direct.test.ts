import { ErrorCode, Hop } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { checkDirect, directEntries, directName, directServer, tokenPlugin } from "./direct.ts";
import { kubeconfigText } from "./kubeconfig.ts";

const RELAY = new URL("https://relay.example.com:8443");

describe("the address of a cluster without the local proxy", () => {
  it.each([
    ["/clusters/prod", "https://relay.example.com:8443/clusters/prod"],
    ["https://prod.k8s.example.com", "https://prod.k8s.example.com"],
    ["https://prod.k8s.example.com:9443/", "https://prod.k8s.example.com:9443"],
  ])("%s is %s", (directUrl, server) => {
    expect(directServer(directUrl, RELAY)).toBe(server);
  });

  it.each([
    "http://evil.example.com/clusters/prod",
    "https://user:password@evil.example.com/",
    "https://evil.example.com/?a=b",
    "https://evil.example.com/#a",
    "javascript:alert(1)",
    "https://",
  ])("%s is refused: the caller's token would go there", (directUrl) => {
    const refusal = expect.objectContaining({ code: ErrorCode.PROTOCOL_VIOLATION, hop: Hop.RELAY });
    expect(() => directServer(directUrl, RELAY)).toThrow(refusal);
  });

  it("is none where the relay gives none", () => {
    expect(() => directServer("", RELAY)).toThrow(expect.objectContaining({ code: ErrorCode.ACCESS_DENIED }));
  });
});

describe("the options of a context without the local proxy", () => {
  it.each([{}, { direct: true }, { readOnly: true, groups: "" }, { port: 1 }])("%j go together", (options) => {
    expect(() => checkDirect(options)).not.toThrow();
  });

  it.each([
    { direct: true, readOnly: true },
    { direct: true, groups: "dev" },
    { direct: true, groups: "" },
    { direct: true, readOnly: true, groups: "dev" },
    { direct: true, port: 8443 },
  ])("%j do not", (options) => {
    expect(() => checkDirect(options)).toThrow(expect.objectContaining({ code: ErrorCode.MALFORMED_REQUEST }));
  });
});

describe("the entries of a context without the local proxy", () => {
  const plugin = tokenPlugin({ relayCa: "ca.crt", tokenFile: "token", output: "text" }, RELAY);

  it("name files by paths that lead there from everywhere, and no file where there is none", () => {
    const at = plugin.args.indexOf("get-token");
    expect(plugin.args.slice(at)).toEqual([
      ...["get-token", "--relay", RELAY.origin, "--relay-ca", `${process.cwd()}/ca.crt`],
      ...["--token-file", `${process.cwd()}/token`],
    ]);
    for (const tokenFile of [undefined, "-"]) {
      const { args } = tokenPlugin({ ...(tokenFile && { tokenFile }), output: "text" }, RELAY);
      expect(args.slice(args.indexOf("get-token"))).toEqual(["get-token", "--relay", RELAY.origin]);
    }
  });

  it("are beside those of the cluster's other contexts, and have no authority where the system's counts", () => {
    const entries = directEntries(directName("fairlead-prod"), "", "https://prod.example.com", undefined, plugin);
    const name = "fairlead-prod:direct";
    expect(entries).toEqual({
      name,
      cluster: { server: "https://prod.example.com" },
      user: { exec: plugin },
      context: { cluster: name, user: name },
    });
    expect(kubeconfigText([entries])).toContain("interactiveMode: IfAvailable");
  });
});
