import { parseServicePort, type ServicePort, servicePortText } from "@fairlead/authorization";

/**
 * The Services of the cluster that its owner lets people connect to, each by namespace, name and port. There are no
 * patterns: a Service that somebody makes tomorrow is not listed.
 */
export class ListedServices {
  readonly #listed: ReadonlySet<string>;

  /**
   * @param texts each `NAMESPACE/NAME:PORT`
   * @throws Error that names the text that is none
   */
  constructor(texts: readonly string[] = []) {
    this.#listed = new Set(texts.map((text) => servicePortText(parsed(text))));
  }

  /** How many there are. */
  get count(): number {
    return this.#listed.size;
  }

  has(port: ServicePort): boolean {
    return this.#listed.has(servicePortText(port));
  }
}

function parsed(text: string): ServicePort {
  const port = parseServicePort(text);
  if (port) return port;
  throw new Error(
    `--service ${JSON.stringify(text)}: write NAMESPACE/NAME:PORT, such as shop/web:80; patterns, names of ports, host names and addresses are not taken`,
  );
}
