import { format, parseISO } from 'date-fns'

export const day = (at: string) => format(parseISO(at), 'd MMMM yyyy')
export const money = (amount: number) => `${amount.toFixed(2)} EUR`
