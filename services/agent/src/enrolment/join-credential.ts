import { existsSync, readFileSync } from "node:fs";

/** What an agent joins by: a join token, which counts once, or the token of its own service account. */
export interface JoinCredential {
  case: "joinToken" | "serviceAccountToken";
  value: string;
}

/** Reads what the agent may join by as it is now; undefined if there is nothing. @throws Error if it is not what is due */
export type ReadCredential = () => JoinCredential | undefined;

/** Where what the agent joins by is to be found. */
interface CredentialFiles {
  joinTokenFile?: string;
  joinServiceAccountTokenFile?: string;
}

/** What each is called, and looks like: a JWT is in RFC 7515's compact form. */
const CREDENTIALS = {
  joinToken: { name: "a join token", form: /^flj_[\w-]+$/ },
  serviceAccountToken: { name: "a service account's token", form: /^[\w-]+\.[\w-]+\.[\w-]+$/ },
};

/**
 * Finds what the agent joins by. It is read at each attempt: a join token may be put there, and kubelet renews the other.
 *
 * @throws Error if both kinds are given
 */
export function joinCredential({ joinTokenFile, joinServiceAccountTokenFile }: CredentialFiles): ReadCredential {
  if (joinServiceAccountTokenFile === undefined) return () => readToken(joinTokenFile, "joinToken");
  if (joinTokenFile !== undefined) {
    throw new Error("give --join-token-file or --join-service-account-token-file, not both");
  }
  return () => readToken(joinServiceAccountTokenFile, "serviceAccountToken");
}

/** An agent that has joined needs none: the file may be gone. @throws Error that never has a part of the token in it */
function readToken(file: string | undefined, kind: JoinCredential["case"]): JoinCredential | undefined {
  if (file === undefined || !existsSync(file)) return undefined;
  const value = readFileSync(file, "utf8").trim();
  const { name, form } = CREDENTIALS[kind];
  if (!form.test(value)) throw new Error(`what is in ${file} is not ${name}`);
  return { case: kind, value };
}
