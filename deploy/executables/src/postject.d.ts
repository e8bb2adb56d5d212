declare module "postject" {
  /** Puts a resource into an ELF, Mach-O or PE file, and turns over the bit behind `sentinelFuse`. */
  export function inject(
    file: string,
    resource: string,
    bytes: Buffer,
    options: { sentinelFuse: string; machoSegmentName: string },
  ): Promise<void>;
}
