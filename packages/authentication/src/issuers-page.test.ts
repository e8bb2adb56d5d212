import { readFileSync } from "node:fs";
import { CertificateAuthority } from "@fairlead/certificates";
import { Hop } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { JWTPayload } from "jose";
import { parse, stringify } from "yaml";
import { type IssuerConfiguration, parseAuthenticationConfiguration } from "./configuration.ts";
import { IssuerFixture, sendJson, signingKey } from "./issuer-fixture.ts";
import { subjectOf } from "./subject.ts";
import { TokenVerifier } from "./token-verifier.ts";

const page = readFileSync(new URL("../../../docs/reference/issuers.md", import.meta.url), "utf8");
const headings = [...page.matchAll(/^## (.+)$/gm)].map(([, heading = ""]) => heading);

/** The entry of the page under a heading. @param change what a reader would make of it */
function entry(heading: string, change = (yaml: string) => yaml): IssuerConfiguration {
  const [, section = ""] = page.split(`## ${heading}\n`);
  const yaml = change(/```yaml\n([\s\S]*?)```/.exec(section)?.[1] ?? "");
  const [issuer] = parseAuthenticationConfiguration(
    stringify({ apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration", jwt: [parse(yaml)] }),
  );
  if (issuer === undefined) throw new Error(`there is no entry for ${heading}`);
  return issuer;
}

const TENANT = "11111111-2222-3333-4444-555555555555";
const TIMES = { iat: 1_799_990_000, nbf: 1_799_990_000, exp: 1_800_000_000 };

/** Claims as each issuer documents them, and who they are. */
const TOKENS: Record<string, { claims: JWTPayload; is: object }> = {
  "Any OpenID Connect provider": {
    claims: { iss: "https://login.example.com", sub: "248289761001", aud: "fairlead", groups: ["dev"], ...TIMES },
    is: { user: "oidc:248289761001", groups: ["oidc:dev"] },
  },
  "Microsoft Entra ID": {
    claims: {
      aud: "66666666-7777-8888-9999-000000000000",
      iss: `https://login.microsoftonline.com/${TENANT}/v2.0`,
      azp: "0d1e2f30-0000-4000-8000-000000000000",
      azpacr: "0",
      groups: ["8c5f6d4e-0000-4000-8000-00000000000a"],
      name: "Jane Doe",
      oid: "aaaaaaaa-0000-4000-8000-000000000001",
      preferred_username: "jane@example.com",
      scp: "clusters",
      sub: "I63DPGeCfQlSZAhGFBlVGbKh8Wpfr8tEGgSbFXlrOvM",
      tid: TENANT,
      uti: "x",
      ver: "2.0",
      ...TIMES,
    },
    is: {
      user: "entra:aaaaaaaa-0000-4000-8000-000000000001",
      groups: ["entra:8c5f6d4e-0000-4000-8000-00000000000a"],
      extra: { "example.com/name": ["jane@example.com"] },
    },
  },
  Keycloak: {
    claims: {
      iss: "https://keycloak.example.com/realms/example",
      aud: ["fairlead", "account"],
      sub: "f5a0f5a0-0000-4000-8000-000000000000",
      typ: "Bearer",
      azp: "fairlead",
      sid: "s",
      realm_access: { roles: ["offline_access", "deployer"] },
      resource_access: { account: { roles: ["view-profile"] } },
      scope: "openid email profile",
      email_verified: true,
      preferred_username: "jane",
      email: "jane@example.com",
      ...TIMES,
    },
    is: { user: "jane", groups: ["keycloak:offline_access", "keycloak:deployer"] },
  },
  Google: {
    claims: {
      iss: "https://accounts.google.com",
      azp: "1234567890-example.apps.googleusercontent.com",
      aud: "1234567890-example.apps.googleusercontent.com",
      sub: "110169484474386276334",
      hd: "example.com",
      email: "jane@example.com",
      email_verified: true,
      at_hash: "HK6E_P6Dh8Y93mRNtsDB1Q",
      ...TIMES,
    },
    is: { user: "jane@example.com", groups: [] },
  },
  "GitHub Actions": {
    claims: {
      iss: "https://token.actions.githubusercontent.com",
      aud: "fairlead",
      sub: "repo:example/app:environment:production",
      jti: "j",
      ref: "refs/heads/main",
      sha: "s",
      repository: "example/app",
      repository_owner: "example",
      repository_owner_id: "12",
      repository_visibility: "private",
      repository_id: "74",
      actor: "octocat",
      workflow: "deploy",
      event_name: "push",
      ref_type: "branch",
      environment: "production",
      job_workflow_ref: "example/app/.github/workflows/deploy.yml@refs/heads/main",
      run_id: "1",
      run_number: "10",
      run_attempt: "2",
      runner_environment: "github-hosted",
      ...TIMES,
    },
    is: {
      user: "github:repo:example/app:environment:production",
      groups: ["github:repository:example/app", "github:environment:example/app:production"],
    },
  },
  "Azure Pipelines": {
    claims: {
      iss: `https://vstoken.dev.azure.com/${TENANT}`,
      aud: "api://AzureADTokenExchange",
      sub: "sc://example/shop/production",
      jti: "j",
      org_id: TENANT,
      prj_id: "p",
      def_id: "7",
      rpo_id: "r",
      rpo_ref: "refs/heads/main",
      run_id: "9",
      ...TIMES,
    },
    is: { user: "azure:sc://example/shop/production", groups: [] },
  },
  "GitLab CI": {
    claims: {
      iss: "https://gitlab.com",
      aud: "fairlead",
      sub: "project_path:example/app:ref_type:branch:ref:main",
      namespace_id: "72",
      namespace_path: "example",
      project_id: "20",
      project_path: "example/app",
      user_login: "jane",
      user_email: "jane@example.com",
      pipeline_source: "push",
      ref: "main",
      ref_type: "branch",
      ref_path: "refs/heads/main",
      ref_protected: "true",
      environment: "production",
      environment_protected: "true",
      runner_environment: "gitlab-hosted",
      sha: "s",
      ...TIMES,
    },
    is: { user: "gitlab:project_path:example/app:ref_type:branch:ref:main", groups: ["gitlab:project:example/app"] },
  },
};

/** Publishes the keys of the issuers' tokens in their place. */
let issuer: IssuerFixture;

beforeAll(async () => {
  const authority = await CertificateAuthority.create("test issuers", 1);
  const tls = await authority.issue({ commonName: "issuer", hosts: ["127.0.0.1"], days: 1 });
  issuer = await IssuerFixture.start(tls, authority.pem, [await signingKey("RS256", "key")]);
});
afterAll(() => issuer.close());

describe("the page of issuers", () => {
  it("has a token here for each of its entries", () => {
    expect(Object.keys(TOKENS)).toEqual(headings);
  });

  it.each(Object.keys(TOKENS))("makes the right user of a token of: %s", (heading) => {
    const { claims, is } = TOKENS[heading] ?? { claims: {}, is: {} };
    expect(entry(heading).url).toBe(claims.iss);
    expect(entry(heading).audiences).toContain([claims.aud].flat()[0]);
    expect(subjectOf(claims, entry(heading))).toMatchObject(is);
  });

  it.each(Object.keys(TOKENS))("takes a token, signed and good for an hour, of: %s", async (heading) => {
    const { claims, is } = TOKENS[heading] ?? { claims: {}, is: {} };
    const now = Math.floor(Date.now() / 1000);
    const token = await issuer.token({ jti: undefined, ...claims, iat: now, nbf: now, exp: now + 3_600 });
    issuer.answerDiscovery((response) => sendJson(response, { issuer: claims.iss, jwks_uri: `${issuer.url}/keys` }));
    const { certificateAuthority } = issuer.configuration();
    const here = {
      ...entry(heading),
      discoveryUrl: `${issuer.url}/.well-known/openid-configuration`,
      certificateAuthority,
    };
    const verifier = new TokenVerifier([here], Hop.IDENTITY_PROXY);
    expect(await verifier.verify(token)).toMatchObject(is);
    await expect(verifier.verify(await issuer.token({ ...claims, aud: "another" }))).rejects.toThrow(
      /not for the audi/,
    );
  });

  it.each<[heading: string, what: string, changes: JWTPayload, says: RegExp]>([
    [
      "Microsoft Entra ID",
      "with a link in its groups' place",
      {
        groups: undefined,
        _claim_names: { groups: "src1" },
        _claim_sources: { src1: { endpoint: "https://graph.microsoft.com/v1.0/users/x/getMemberObjects" } },
      },
      /too many groups to list them.*assigned to the application/,
    ],
    [
      "Microsoft Entra ID",
      "of the implicit flow that only says that there are groups",
      { groups: undefined, hasgroups: true },
      /too many groups/,
    ],
    ["Microsoft Entra ID", "of another tenant", { tid: "another" }, /claim tid/],
    [
      "Keycloak",
      "of a service account",
      { preferred_username: "service-account-ci" },
      /service accounts are not let in/,
    ],
    ["Keycloak", "without roles", { realm_access: undefined }, /realm_access/],
    ["Google", "of somebody's own account", { hd: undefined }, /claim hd/],
    ["Google", "with an address that is not verified", { email_verified: false }, /not verified/],
    ["GitHub Actions", "of another owner", { repository_owner: "mallory" }, /claim repository_owner/],
    ["GitHub Actions", "for pull_request_target", { event_name: "pull_request_target" }, /strangers/],
    ["Azure Pipelines", "of another organisation", { sub: "sc://mallory/shop/production" }, /another organisation/],
    [
      "Azure Pipelines",
      "of an organisation of a longer name",
      { sub: "sc://example-2/shop/x" },
      /another organisation/,
    ],
    ["GitLab CI", "of another namespace", { namespace_path: "mallory" }, /claim namespace_path/],
    ["GitLab CI", "for a branch that is not protected", { ref_protected: "false" }, /not protected/],
  ])("%s: refuses a token %s", (heading, _what, changes, says) => {
    const claims = { ...TOKENS[heading]?.claims, ...changes };
    for (const [claim, value] of Object.entries(changes)) if (value === undefined) delete claims[claim];
    expect(() => subjectOf(claims, entry(heading))).toThrow(says);
  });

  it("has a rule for GitHub's environments, to be taken in", () => {
    const narrow = entry("GitHub Actions", (yaml) => yaml.replace("# - {", "- {"));
    const { environment, ...claims } = TOKENS["GitHub Actions"]?.claims ?? {};
    expect(subjectOf({ ...claims, environment }, narrow).groups).toContain("github:environment:example/app:production");
    expect(() => subjectOf({ ...claims, environment: "staging" }, narrow)).toThrow(/claim environment/);
    expect(() => subjectOf(claims, narrow)).toThrow(/claim environment/);
  });

  it("leaves out an environment that a job has not", () => {
    const { environment: _, ...claims } = TOKENS["GitHub Actions"]?.claims ?? {};
    expect(subjectOf(claims, entry("GitHub Actions")).groups).toEqual(["github:repository:example/app"]);
  });
});
