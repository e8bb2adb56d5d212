/**
 * The environment of a node process whose clock is off. Certificates are still judged by the system's clock, which
 * OpenSSL asks.
 *
 * @param offMs ahead, or behind if below zero, in milliseconds
 */
export function skewedClock(offMs: number): { NODE_OPTIONS: string } {
  const source = `const Real = Date;
    globalThis.Date = class Date extends Real {
      constructor(...parts) { if (parts.length === 0) super(Date.now()); else super(...parts); }
      static now() { return Real.now() + ${offMs}; }
    };`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(source)}` };
}
