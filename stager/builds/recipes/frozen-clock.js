// Loaded before everything else in every process of a build: the clock stands still, and unique names are the same each time.
'use strict'
const crypto = require('crypto')
const fs = require('fs')

const moment = Number(process.env.SOURCE_DATE_EPOCH) * 1000
const unique = process.env.FIXED_BUILD_UUID
const RealDate = Date

globalThis.Date = class Date extends RealDate {
  constructor(...given) {
    given.length ? super(...given) : super(moment)
  }
  static now() {
    return moment
  }
}

// What a build writes is younger than the clock, which stands still: nothing is.
for (const [name, milliseconds] of [['mtime', 'mtimeMs'], ['ctime', 'ctimeMs'], ['birthtime', 'birthtimeMs']]) {
  Object.defineProperty(fs.Stats.prototype, name, {
    configurable: true,
    enumerable: true,
    get() {
      return new RealDate(Math.min(this[milliseconds], moment))
    },
    set() {},
  })
}

if (unique) {
  crypto.randomUUID = () => unique
  globalThis.crypto.randomUUID = () => unique
}
