export interface Entry {
  id: number
  title: string
  at: string
  amount: number
}

export type Order = 'title' | 'at' | 'amount'
