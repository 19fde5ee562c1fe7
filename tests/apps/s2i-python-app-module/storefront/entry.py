from storefront.pages import build

site = build()
