/** Another port of loopback that leads to a port, such as one behind a slow network. */
export type Detour = (port: number) => Promise<number>;

/** No detour. */
export const straight: Detour = async (port) => port;
