import { Controller, Get } from '@nestjs/common'
import { LedgerService } from './ledger.service'

@Controller()
export class LedgerController {
  constructor(private readonly ledger: LedgerService) {}

  @Get('total')
  total() {
    return this.ledger.total()
  }
}
