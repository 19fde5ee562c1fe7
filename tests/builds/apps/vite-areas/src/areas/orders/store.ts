import { create } from 'zustand'
import type { Order } from './types'

interface State {
  by: Order
  sort: (by: Order) => void
}

export const useOrders = create<State>((set) => ({ by: 'at', sort: (by) => set({ by }) }))
