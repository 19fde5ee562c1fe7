import { ArrowDown } from 'lucide-react'
import { useOrders } from './store'
import type { Order } from './types'

export function Sorting() {
  const { sort } = useOrders()
  return (['title', 'at', 'amount'] satisfies Order[]).map((by) => (
    <button key={by} onClick={() => sort(by)}>
      <ArrowDown /> {by}
    </button>
  ))
}
