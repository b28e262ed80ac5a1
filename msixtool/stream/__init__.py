"""From bytes to sections: three ways to find them, tried in this order.

1. From the end (`backward`): the vmdesc gives the sizes; every header and footer on the way
   is checked, RAM is never read.
2. Forward (`forward`): item by item, RAM records walked.
3. Resynchronising (`scan`): where an item makes no sense, on to the next place that does.

What was skipped or contradicts the format is reported as damage, never silently.
"""
