import type { Entry } from './types'

export const entries: Entry[] = [
  { id: 1, title: 'orders, the first', at: '2025-01-02', amount: 12 },
  { id: 2, title: 'orders, the second', at: '2025-02-03', amount: 30 },
  { id: 3, title: 'orders, the third', at: '2025-03-04', amount: 21 },
]
