import { create } from "@bufbuild/protobuf";
import { ErrorCode, LoginMethodSchema } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import type { Login } from "../profiles/profile.ts";
import { askedLogin, type LoginOptions, namedLogin } from "./login-options.ts";

const NOTHING: LoginOptions = { scope: [], redirectPort: 0 };
const ISSUER = { issuer: "https://login.example.com", clientId: "fairlead" };

describe("how to log in, as the options say", () => {
  it.each<[what: string, options: Partial<LoginOptions>, tokenFile: string | undefined, login: Login | undefined]>([
    ["nothing", {}, undefined, undefined],
    [
      "an issuer",
      ISSUER,
      undefined,
      { kind: "openid", ...ISSUER, scopes: ["openid", "profile", "email", "offline_access"] },
    ],
    ["scopes", { ...ISSUER, scope: ["openid"] }, undefined, { kind: "openid", ...ISSUER, scopes: ["openid"] }],
    [
      "files, from here",
      { ...ISSUER, issuerCa: "/ca.crt", resource: "api://x" },
      undefined,
      {
        ...{ kind: "openid", ...ISSUER, scopes: ["openid", "profile", "email", "offline_access"] },
        ...{ issuerCa: "/ca.crt", resource: "api://x" },
      } as Login,
    ],
    [
      "a machine",
      { ...ISSUER, clientCredentials: true, clientSecretFile: "/secret" },
      undefined,
      {
        ...{ kind: "client-credentials", ...ISSUER, scopes: [], clientSecretFile: "/secret" },
      } as Login,
    ],
    ["GitHub", { workload: "github-actions" }, undefined, { kind: "github-actions", audience: "fairlead" }],
    [
      "GitHub, for another audience",
      { workload: "github-actions", audience: "x" },
      undefined,
      { kind: "github-actions", audience: "x" },
    ],
    [
      "Azure",
      { workload: "azure-pipelines", serviceConnection: "id" },
      undefined,
      { kind: "azure-pipelines", serviceConnection: "id" },
    ],
    ["a token's file", {}, "/token", { kind: "token-file", file: "/token" }],
  ])("is %s", (_what, options, tokenFile, login) => {
    expect(askedLogin({ ...NOTHING, ...options }, tokenFile)).toEqual(login);
  });

  it.each<[what: string, options: Partial<LoginOptions>, tokenFile: string | undefined, says: RegExp]>([
    ["two ways", { ...ISSUER, workload: "github-actions" }, undefined, /different ways to log in; give one/],
    ["two others", ISSUER, "/token", /different ways/],
    ["standard input", {}, "-", /not standard input/],
    ["Azure without its connection", { workload: "azure-pipelines" }, undefined, /--service-connection ID/],
    ["an issuer without a client", { issuer: ISSUER.issuer }, undefined, /go together/],
    ["a client without an issuer", { clientId: "x" }, undefined, /go together/],
    ["an issuer without TLS", { ...ISSUER, issuer: "http://login.example.com" }, undefined, /no issuer; give https/],
    ["a machine without a secret", { ...ISSUER, clientCredentials: true }, undefined, /--client-secret-file FILE/],
    ["a machine without an issuer", { clientCredentials: true }, undefined, /--issuer URL and --client-id ID/],
  ])("is refused for %s", (_what, options, tokenFile, says) => {
    expect(() => askedLogin({ ...NOTHING, ...options }, tokenFile)).toThrow(says);
  });
});

describe("how to log in, as the relay says", () => {
  const named = (change: object = {}) => create(LoginMethodSchema, { ...ISSUER, scopes: ["openid"], ...change });
  const before: Login = { kind: "openid", ...ISSUER, scopes: ["x"], issuerCa: "/ca.crt" };

  it("is taken as it is, with the user's own files", () => {
    expect(namedLogin(named(), undefined, NOTHING)).toEqual({ kind: "openid", ...ISSUER, scopes: ["openid"] });
    expect(namedLogin(named(), before, NOTHING)).toEqual({
      ...{ kind: "openid", ...ISSUER, scopes: ["openid"], issuerCa: "/ca.crt" },
    });
    expect(namedLogin(named({ resource: "api://x" }), undefined, NOTHING)).toMatchObject({ resource: "api://x" });
  });

  it.each(["http://login.example.com", "", "login.example.com", "javascript:alert(1)"])(
    "is not taken if its issuer is %j",
    (issuer) => {
      expect(() => namedLogin(named({ issuer }), undefined, NOTHING)).toThrow(
        expect.objectContaining({ code: ErrorCode.PROTOCOL_VIOLATION }),
      );
    },
  );

  it.each([
    ["client", { clientId: "of-another-relay" }],
    ["resource", { resource: "api://of-another" }],
  ])("is not followed to another %s than before", (_what, change) => {
    expect(() => namedLogin(named(change), before, NOTHING)).toThrow(/it now names another/);
  });

  it.each(["https://evil.example", "https://login.example.com.evil.example", "https://login.example.com/other"])(
    "is not followed to another issuer than before: %s",
    (issuer) => {
      expect(() => namedLogin(named({ issuer }), before, NOTHING)).toThrow(
        expect.objectContaining({
          code: ErrorCode.ACCESS_DENIED,
          message: expect.stringContaining(`--issuer ${issuer}`),
        }),
      );
    },
  );
});
