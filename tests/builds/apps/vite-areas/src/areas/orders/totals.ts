import type { Entry } from './types'

export const total = (entries: Entry[]) => entries.reduce((sum, { amount }) => sum + amount, 0)
