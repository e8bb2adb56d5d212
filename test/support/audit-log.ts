import { open, stat } from "node:fs/promises";
import { eventually } from "./eventually.ts";

/** The parts of audit.k8s.io/v1 Event that tests look at. */
export interface AuditEvent {
  readonly auditID: string;
  /** ResponseStarted comes for watches and upgrades only. */
  readonly stage: "ResponseStarted" | "ResponseComplete" | "Panic";
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username: string; readonly groups?: readonly string[] };
  readonly impersonatedUser?: {
    readonly username: string;
    readonly groups?: readonly string[];
    readonly uid?: string;
    readonly extra?: Readonly<Record<string, readonly string[]>>;
  };
  readonly userAgent?: string;
  readonly responseStatus?: { readonly code?: number };
}

/** Follows the apiserver's audit log from the moment that it is opened: what the cluster itself saw. */
export class AuditLog {
  private readonly events: AuditEvent[] = [];
  private readonly path: string;
  private offset: number;

  private constructor(path: string, offset: number) {
    this.path = path;
    this.offset = offset;
  }

  static async fromNow(path: string): Promise<AuditLog> {
    return new AuditLog(path, (await stat(path)).size);
  }

  waitFor(matches: (event: AuditEvent) => boolean, what: string, timeoutMs = 45_000): Promise<AuditEvent> {
    const find = async (): Promise<AuditEvent | undefined> => (await this.read()).find(matches);
    return eventually(find, { what: `the audit event of ${what}`, timeoutMs });
  }

  /** All events up to now. */
  async read(): Promise<readonly AuditEvent[]> {
    const file = await open(this.path);
    try {
      const length = (await file.stat()).size - this.offset;
      const { buffer } = await file.read(Buffer.alloc(length), 0, length, this.offset);
      const end = buffer.lastIndexOf("\n") + 1;
      this.offset += end;
      const lines = buffer.toString("utf8", 0, end).split("\n");
      this.events.push(...lines.filter((line) => line !== "").map((line) => JSON.parse(line)));
      return this.events;
    } finally {
      await file.close();
    }
  }
}

/** The person whom the cluster's authorization saw, whoever carried the request there. */
export function actingUser({ user, impersonatedUser }: AuditEvent): string {
  return (impersonatedUser ?? user).username;
}
