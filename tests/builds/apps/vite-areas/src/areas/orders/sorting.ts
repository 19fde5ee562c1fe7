import type { Entry, Order } from './types'

const compare = (a: string | number, b: string | number) => (a < b ? -1 : a > b ? 1 : 0)

export const sorted = (entries: Entry[], by: Order) => [...entries].sort((one, other) => compare(one[by], other[by]))
