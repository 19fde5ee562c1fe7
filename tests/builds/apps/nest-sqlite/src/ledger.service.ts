import { Injectable } from '@nestjs/common'
import Database from 'better-sqlite3'

@Injectable()
export class LedgerService {
  private readonly database = new Database(':memory:')

  constructor() {
    this.database.exec('CREATE TABLE entry (amount INTEGER)')
    const insert = this.database.prepare('INSERT INTO entry VALUES (?)')
    for (const amount of [12, 30, 21]) insert.run(amount)
  }

  total(): { total: number; sqlite: string } {
    return this.database.prepare('SELECT sum(amount) AS total, sqlite_version() AS sqlite FROM entry').get() as never
  }
}
