"""A page with one slider."""

import streamlit as st

st.title("Squares")
number = st.slider("A number", 0, 10)
st.write(number, "squared is", number * number)
