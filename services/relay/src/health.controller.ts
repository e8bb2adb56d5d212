import { Controller, Get } from "@nestjs/common";

/** What the public port says to anybody: that a relay answers here. */
@Controller()
export class HealthController {
  @Get("healthz")
  healthz(): string {
    return "ok";
  }
}
