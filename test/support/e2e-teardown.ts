let stop: (() => Promise<void>) | undefined;

/** Setup and teardown run in one process, but jest passes nothing from one to the other. */
export function setStop(stopClusterUnderTest: () => Promise<void>): void {
  stop = stopClusterUnderTest;
}

/** jest's globalTeardown of the project `e2e`; jest takes nothing but a default export. */
export default async function teardown(): Promise<void> {
  await stop?.();
}
